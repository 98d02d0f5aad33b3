"""Models on corrupted images and on images of something else, through `evaluate`."""

import json
import re
import shutil
import types

import numpy as np
import pytest
from html_pages import Page
from scripts_at_work import ending_of
from small_models import tiny_model
from test_corruptions import write_arrays
from test_evaluate import DOCS, evaluate
from test_image_folder import grey, save
from test_strict_json import strictly
from test_tfds_images import greys, store

from mixmo_tf import data, deployment, evaluation
from mixmo_tf.data import corruptions
from mixmo_tf.evaluation import corruption
from mixmo_tf.experiments import kept_sets, ood, shift_tables
from mixmo_tf.experiments.page import drawings
from mixmo_tf.formats import litert_graphs
from mixmo_tf.training import checkpoints

CLASSES = ("a", "b", "c", "d")
COUNT = 8  # images of a corrupted set
EXPLAINED = (DOCS / "shift.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder of images of 16×16, two of corrupted ones, and sets of something else."""
    path = tmp_path_factory.mktemp("shifted")
    random = np.random.default_rng(0)
    for split, count in (("train", 1), ("val", 3)):
        for label, name in enumerate(CLASSES):
            for i in range(count):
                pixels = random.integers(0, 60, (16, 16, 3)) + 60 * label
                save(path / "images" / split / name / f"{i}.png", pixels.astype(np.uint8))
    (path / "made").mkdir()
    labels = np.arange(COUNT) % 4
    for name in ("fog", "saturate"):
        pixels = random.integers(0, 60, (5 * COUNT, 16, 16, 3))
        pixels = pixels + 50 * np.tile(labels, 5)[:, None, None, None]
        np.save(path / "made" / f"{name}.npy", pixels.astype(np.uint8))
    np.save(path / "made" / "labels.npy", np.tile(labels, 5))
    for i in range(5):
        noise = random.integers(0, 256, (40, 50, 3)).astype(np.uint8)
        save(path / "noise" / f"{i}.png", noise)
    store(path / "data", "flat", greys(*range(0, 120, 20)), {"test": range(6)})
    store(path / "data", "train_only", greys(9, 99), {"train": [0, 1]})
    return path


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model" / "model.keras"
    path.parent.mkdir()
    tiny_model().save(path)
    return path


@pytest.fixture(autouse=True)
def cifar_of_four(monkeypatch):
    """CIFAR-10-C's reader takes what it reads for images of these classes."""
    of_four = corruptions.Published(
        "CIFAR-10-C", "CIFAR-10-C", "nowhere", lambda folder: corruptions.of_arrays(folder, CLASSES)
    )
    monkeypatch.setitem(corruptions.PUBLISHED, "cifar10_c", of_four)


def evaluated(work, *models, **settings):
    """The one Evaluation, and what is said."""
    defaults = {"dataset": f"image_folder:{work / 'images'}", "data_dir": work / "data"}
    (found,), said = evaluate(*models, **(defaults | settings))
    return found, said


def on_corrupted(work, model, folder=None, **settings):
    settings["corruptions"] = f"cifar10_c:{folder or work / 'made'}"
    found, said = evaluated(work, model, **settings)
    return found.described()["corruptions"], said


def test_figures_are_those_of_report(work, model, tmp_path):
    found, said = on_corrupted(work, model, json=tmp_path / "a.json", batch_size=3)
    loaded = checkpoints.load_model(model)
    for name, severity in ((n, s) for n in ("fog", "saturate") for s in corruptions.SEVERITIES):
        rows = slice((severity - 1) * COUNT, severity * COUNT)
        images, labels = (
            np.load(work / "made" / file)[rows] for file in (f"{name}.npy", "labels.npy")
        )
        report = evaluation.report(loaded.member_logits(images).numpy(), labels)
        for key, value in found["sets"][name][str(severity)].items():
            assert value == pytest.approx(report[key], abs=1e-6), (name, severity, key)
    assert set(found["sets"]["fog"]["1"]) >= {*corruption.FIGURES, "member_ece"}
    assert found["examples"] == COUNT and found["sets_found"] == 10
    assert all(f"`{key}`" in EXPLAINED for key in found), list(found)
    assert len(found["sets_missing"]) == 85 and found["mean_over_15"] is None
    assert strictly((tmp_path / "a.json").read_text())["corruptions"] == found
    assert f"Corrupted images, cifar10_c: 10 sets of {COUNT} images" in said
    assert "  fog  " in said and "  saturate (extra)  " in said and "  all of these  " in said
    assert "Not there: gaussian noise, shot noise, " in said
    assert "mean over 15 –: 70 of its 75 sets are missing." in said


def test_the_table_of_imagenet_c_has_its_mce():
    """Where all answers are wrong, mCE is the mean of one over AlexNet's errors."""
    wrong = corruption.sums(np.log([[[0.9, 0.1]], [[0.8, 0.2]]]), [1, 1])
    sets = {(n, s): wrong for n in corruptions.BENCHMARK for s in corruptions.SEVERITIES}
    found = corruption.summary(sets, with_mce=True) | {
        "name": "imagenet_c", "examples": 2, "sets_found": 75, "sets_missing": [], "note": None,
    }  # fmt: skip
    of_one = types.SimpleNamespace(name="a", shift={"corruptions": found})
    tables = shift_tables.tables([of_one])
    said = "\n".join(line for table in tables for line in table.lines())
    mce = 100 * np.mean([1 / error for error in corruption.ALEXNET_ERRORS.values()])
    assert re.search(rf"mCE, of AlexNet's error, % +{mce:.2f}$", said, re.MULTILINE)
    assert "mean over 15: accuracy, % " in said and "mean over 19 –: 20 of its 95 sets" in said
    assert "mean over those found" not in said


def test_a_second_call_does_what_is_missing(work, model, tmp_path):
    folder = shutil.copytree(work / "made", tmp_path / "made")
    first, said = on_corrupted(work, model, folder, corruption_names="fog", severities="2,1")
    assert "Of the sets of cifar10_c, 2 are evaluated now; 0 were in" in said
    assert list(first["sets"]) == ["fog"] and list(first["sets"]["fog"]) == ["1", "2"]
    assert first["sets_missing"] == []
    (file,) = (model.parent / "corruptions").iterdir()
    whole, said = on_corrupted(work, model, folder)
    assert f"Of the sets of cifar10_c, 8 are evaluated now; 2 were in {file}." in said
    moved = shutil.copytree(model.parent, tmp_path / "moved") / model.name
    _, said = on_corrupted(work, moved, folder)
    assert "0 are evaluated now; 10 were in" in said and str(moved.parent) in said
    again, said = on_corrupted(work, model, folder, batch_size=7)
    assert "Of the sets of cifar10_c, 0 are evaluated now; 10 were in" in said and again == whole
    _, said = on_corrupted(work, model, folder, ensemble="probabilities")
    assert "Of the sets of cifar10_c, 10 are evaluated now" in said  # kept apart

    np.save(folder / "fog.npy", np.load(folder / "fog.npy")[:, ::-1])
    _, said = on_corrupted(work, model, folder)
    assert "Of the sets of cifar10_c, 5 are evaluated now; 5 were in" in said
    other = tiny_model()
    bias = other.network.get_layer("head_0").bias
    bias.assign(bias + np.eye(4)[3] * 100)
    other.save(model)
    changed, said = on_corrupted(work, model, folder)
    assert "The model has changed since" in said
    assert "Of the sets of cifar10_c, 10 are evaluated now" in said
    assert changed["sets"]["saturate"] != whole["sets"]["saturate"]
    file.write_text('{"model": 1')
    _, said = on_corrupted(work, model, folder)
    assert "is damaged: all is computed anew" in said


@pytest.fixture(scope="module")
def of_a_set():
    random = np.random.default_rng(0)
    return corruption.sums(random.normal(size=(8, 2, 4)), random.integers(0, 4, 8))


@pytest.mark.parametrize(
    "change",
    [
        lambda sums: sums * np.nan,
        lambda sums: sums * 1e308,
        lambda sums: sums * 0,
        lambda sums: -sums,
        lambda sums: sums[:2],  # of a member less
        lambda sums: sums[:, :3],
        lambda sums: np.repeat(sums[:, :1], sums.shape[1], axis=1) * np.array([1] + [3] * 18),
        lambda sums: sums * [[1], [1], [2]],  # of other numbers of images
    ],
)
def test_kept_results_that_no_model_gives_are_damaged(of_a_set, tmp_path, caplog, change):
    file = tmp_path / "corruptions" / "kept.json"
    assert kept_sets.write(file, "model", {("fog", 1): ("state", of_a_set)})
    (state, sums), *_ = kept_sets.read(file, "model", 2).values()
    assert state == "state" and (sums == of_a_set).all() and not caplog.messages
    content = json.loads(file.read_text())
    content["sets"][0]["sums"] = change(of_a_set).tolist()
    file.write_text(json.dumps(content))
    assert kept_sets.read(file, "model", 2) == {}
    assert "is damaged: all is computed anew" in caplog.text


def test_results_that_cannot_be_kept_are_shown_all_the_same(work, model, monkeypatch):
    monkeypatch.setattr(kept_sets, "FOLDER", "model.keras")  # a file
    found, said = on_corrupted(work, model, corruption_names="fog")
    assert said.count("What is found is not kept: ") == 1 and found["sets_found"] == 5


def test_made_corruptions_of_the_test_images(work, tmp_path):
    """They lie outside the folder of images, where theirs would be a class more."""
    pytest.importorskip("imagecorruptions", reason='needs pip install -e ".[corruptions]"')
    images = tmp_path / "mine"
    for label, name in enumerate(CLASSES):
        for split in ("train", "val"):
            save(images / split / name / "a.png", grey(60 * label, 32, 32))
    keras_file = tmp_path / "large.keras"
    tiny_model(image_shape=(32, 32, 3)).save(keras_file)
    settings = {"dataset": f"image_folder:{images}", "data_dir": tmp_path / "data"}
    settings |= {"corruption_names": ("contrast", "pixelate"), "severities": (1, 5)}
    found, said = evaluated(work, keras_file, corruptions="made", **settings)
    (folder,) = (tmp_path / "data" / "made_corruptions").iterdir()
    assert re.fullmatch(r"mine-[0-9a-f]{8}-test-32x32", folder.name)
    assert f"Corrupted images of image_folder:{images}, test are in {folder}." in said
    figures = found.shift["corruptions"]
    assert figures["path"] == str(folder) and figures["examples"] == 4
    assert "made here" in figures["note"] and "not to be compared with" in said
    np.testing.assert_array_equal(np.load(folder / "labels.npy")[:4], found.labels)
    again, said = evaluated(work, keras_file, corruptions=f"made:{folder}", **settings)
    assert "Of the sets of made, 0 are evaluated now; 4 were in" in said
    assert again.shift["corruptions"] == figures
    assert {path.name for path in images.iterdir()} == {"train", "val"}


def test_out_of_distribution(work, model, tmp_path):
    sets = f"near:tfds:flat,near:tfds:train_only,far:image_folder:{work / 'noise'}"
    found, said = evaluated(work, model, ood=sets, json=tmp_path / "a.json", batch_size=4)
    figures = found.shift["ood"]
    assert strictly((tmp_path / "a.json").read_text())["ood"] == json.loads(json.dumps(figures))
    assert [(each["group"], each["split"], each["examples"]) for each in figures["sets"]] == [
        ("near", "test", 6), ("near", "train", 2), ("far", "all", 5),
    ]  # fmt: skip
    loaded = checkpoints.load_model(model)
    flat = np.concatenate(greys(*range(0, 120, 20), size=(16, 16), channels=3))
    inside = evaluation.ood_scores(found.member_logits)
    outside = evaluation.ood_scores(loaded.member_logits(flat.reshape(6, 16, 16, 3)).numpy())
    first, second, third = (each["scores"] for each in figures["sets"])
    for score, of_score in first.items():
        theirs = evaluation.ood(inside[score], outside[score])
        assert of_score == {key: pytest.approx(value, abs=1e-4) for key, value in theirs.items()}
    assert list(first) == [
        "max_probability", "max_logit", "energy", "entropy", "mutual_information",
    ]  # fmt: skip
    mean = figures["near"]["scores"]["energy"]["auroc"]
    assert mean == pytest.approx((first["energy"]["auroc"] + second["energy"]["auroc"]) / 2)
    assert figures["far"]["scores"] == third
    for key in {*figures, *figures["sets"][0], *first, *first["energy"]}:
        assert f"`{key}`" in EXPLAINED, key
    assert len(figures["near"]["member_scores"]) == len(figures["sets"][0]["member_scores"]) == 2
    assert "mutual_information" not in figures["sets"][0]["member_scores"][0]
    assert "RGB, the shorter side scaled to 16 pixels (bilinear), centre crop" in said
    assert "  near tfds:flat, test: largest probability  " in said
    assert "  near, mean: mutual information  " in said
    assert "far, mean" not in said  # there is one
    assert "  far image_folder:noise, all: energy  " in said


def test_the_protocols_sets_that_are_there(work, model, tmp_path, monkeypatch):
    protocol = ood.OPENOOD["cifar10"]
    monkeypatch.setitem(ood.OPENOOD, data.full_name(f"image_folder:{work / 'images'}"), protocol)
    with pytest.raises(FileNotFoundError, match=f"OpenOOD's sets is in {tmp_path}: cifar100"):
        evaluated(work, model, ood="openood", data_dir=tmp_path)
    mnist = greys(0, 90, size=(28, 28))
    store(tmp_path, "mnist", mnist, {"test": [0, 1]}, 10, (28, 28, 1), "3.0.1")
    found, said = evaluated(work, model, ood="openood", data_dir=tmp_path)
    figures = found.shift["ood"]
    assert [each["dataset"] for each in figures["sets"]] == ["tfds:mnist"]
    assert figures["protocol"] == "OpenOOD's sets, unfiltered" and "near" not in figures
    assert figures["missing"] == [
        "cifar100", "tiny_imagenet", "tfds:svhn_cropped", "tfds:dtd", "tfds:places365_small",
    ]  # fmt: skip
    assert "Not there: cifar100, tiny_imagenet, tfds:svhn_cropped, " in said


def test_folded_exported_and_together_they_have_the_same_figures(work, model, tmp_path):
    loaded = checkpoints.load_model(model)
    deployment.fold(loaded, members=True).save(tmp_path / "folded.keras")
    loaded.export(tmp_path / "exported")
    loaded.export(tmp_path / "exported" / "model.onnx", format="onnx")
    loaded.export(tmp_path / "exported" / "model.tflite", format="litert")
    twin = tmp_path / "twin.keras"
    bias = loaded.network.get_layer("head_0").bias
    bias.assign(bias + np.linspace(-3, 3, 4))
    loaded.save(twin)
    shifted = {"corruptions": f"cifar10_c:{work / 'made'}", "corruption_names": "fog"}
    shifted |= {"ood": f"far:image_folder:{work / 'noise'}"}

    def figures(*models):
        return evaluated(work, ",".join(map(str, models)), **shifted)[0].shift

    whole = figures(model)
    for name in ("folded.keras", "exported", "exported/model.onnx", "exported/model.tflite"):
        there = figures(tmp_path / name)
        assert there["ood"]["sets"][0] == approximately(whole["ood"]["sets"][0])
        assert there["corruptions"]["sets"] == approximately(whole["corruptions"]["sets"])
    both, of_twin = figures(model, twin), figures(twin)
    of_members = both["corruptions"]["sets"]["fog"]["1"]["member_nll"]
    alone = [each["corruptions"]["sets"]["fog"]["1"]["nll"] for each in (whole, of_twin)]
    assert of_members == pytest.approx(alone, abs=1e-5)
    members = both["ood"]["sets"][0]["member_scores"]
    for member, each in zip(members, (whole, of_twin), strict=True):
        scores = each["ood"]["sets"][0]["scores"]
        assert member["entropy"] == approximately(scores["entropy"])


def test_a_file_alone_does_not_say_what_its_ensemble_averages(work, model, tmp_path, monkeypatch):
    """If it is of an earlier version, whose files have no metadata."""
    file = tmp_path / "alone.tflite"
    monkeypatch.setattr(litert_graphs, "with_metadata", lambda content, text: content)
    checkpoints.load_model(model).export(file, format="litert")
    with pytest.raises(ValueError, match="alone.tflite has no model.json beside it: say what is"):
        evaluated(work, file)
    found, _ = evaluated(work, file, ensemble="logits", output_dir=tmp_path / "kept")
    assert found.member_logits.shape == (12, 2, 4)
    assert not (tmp_path / "kept" / "model.keras").exists()
    with pytest.raises(ValueError, match="is an exported model, whose precision is fixed"):
        evaluated(work, file, precision="mixed_bfloat16")


def approximately(content):
    """The same nested figures, to the rounding of float32."""
    if isinstance(content, dict):
        return {key: approximately(value) for key, value in content.items()}
    if isinstance(content, list):
        return [approximately(value) for value in content]
    return pytest.approx(content, abs=1e-4) if isinstance(content, float) else content


def test_several_models_side_by_side(work, model, tmp_path, monkeypatch):
    monkeypatch.setattr(drawings, "PICTURES", ())  # but for those of other images
    plain = model.parent / "plain.keras"
    tiny_model(num_members=1).save(plain)
    settings = {"corruptions": f"cifar10_c:{work / 'made'}", "corruption_names": "fog"}
    settings |= {"ood": f"far:image_folder:{work / 'noise'}"}
    settings |= {"dataset": f"image_folder:{work / 'images'}", "report": tmp_path / "page"}
    found, said = evaluate(model, plain, **settings)
    of_corruptions, of_far = said.split("Corrupted images, cifar10_c, mean over those found; of 5")[
        1
    ].split("Out of distribution, far, mean AUROC in % by score")
    for each in found:
        mean = each.shift["corruptions"]["mean_over_found"]
        figures = f"{100 * mean['accuracy']:.2f} +{mean['nll']:.4f} +{mean['ece']:.4f}"
        assert re.search(rf"  {each.name} +{figures}", of_corruptions)
        energy = each.shift["ood"]["far"]["scores"]["energy"]["auroc"]
        (line,) = [line for line in of_far.splitlines() if line.startswith(f"  {each.name} ")]
        assert line.split()[3] == f"{100 * energy:.2f}"
    assert line.split()[-1] == "–"  # the plain network has no mutual information
    page = Page((tmp_path / "page" / "report.html").read_text(encoding="utf-8"))
    of_corruptions = next(rows for title, rows in page.tables.items() if "by severity" in title)
    accuracy = found[0].shift["corruptions"]["sets"]["fog"]["5"]["accuracy"]
    assert of_corruptions[1][0] == "fog" and of_corruptions[1][5] == f"{100 * accuracy:.2f}"
    of_ood = next(rows for title, rows in page.tables.items() if "the members' AUROC" in title)
    auroc = found[0].shift["ood"]["sets"][0]["scores"]["max_probability"]["auroc"]
    assert of_ood[1][1] == f"{100 * auroc:.2f}"
    alts = [image["alt"] for image in page.images]
    assert sum(alt.startswith("Heat map of accuracy by corruption") for alt in alts) == 2
    assert sum(alt.startswith("Histograms and ROC curves") for alt in alts) == 2
    assert "On corrupted images (cifar10_c), " in page.text
    inside, outside = found[1].ood_scores
    (scores,) = outside.values()
    figures = evaluation.ood(inside["energy"], scores["energy"])
    assert figures == found[1].shift["ood"]["sets"][0]["scores"]["energy"]


def test_what_is_wrong_is_one_line(work, model, tmp_path):
    one = write_arrays(tmp_path / "grey", "fog", shape=(16, 16, 1))
    many = write_arrays(tmp_path / "many", "fog", shape=(16, 16, 3))
    np.save(many / "labels.npy", np.full(10, 4))
    (tmp_path / "empty").mkdir()
    images = data.full_name(f"image_folder:{work / 'images'}")
    (tmp_path / "link").symlink_to(work / "images")
    flags = {
        "--corruptions=fogs": "corruptions must be one of cifar10_c, .*, made, .* got 'fogs'",
        f"--corruptions=cifar10_c:{tmp_path}": f"there is no CIFAR-10-C in {tmp_path}; it is at",
        f"--corruptions=cifar10_c:{one}": r"cifar10_c has \(16, 16, 1\) and 4",
        f"--corruptions=cifar10_c:{many}": "labels must be in 0 to 3, got 4",
        f"--corruptions=made:{work / 'made'}": "need images of 32×32 pixels or more",
        f"--corruptions=made:{tmp_path / 'new'} --dataset=digits": "the model takes images .16, 16",
        f"--corruptions=cifar10_c:{work / 'made'} --corruption_names=snow": "no snow of severity 1",
        "--corruption_names=snowy": "corruption_names must be one of gaussian_noise, .*'snowy'",
        "--corruption_names=fog": "corruption_names needs --corruptions",
        "--severities=1,2": "severities needs --corruptions",
        "--severities=0": "severities must be >= 1, got 0",
        "--severities=1,6": "severities must be <= 5, got 6",
        "--severities=two": "severities must be whole numbers, got two",
        "--corruptions=made --severities=": "severities must have a value, got none",
        "--corruptions=made:": "corruptions must be one of .*, or one with :PATH, .* got 'made:'",
        "--ood=cifar10": "ood must be near:DATASET or far:DATASET, .* got 'cifar10'",
        "--ood=near:": "ood must be near:DATASET or far:DATASET, .* got 'near:'",
        "--ood=near:tfds:flat,openood": "ood must be near:DATASET .* got 'openood'",
        "--ood=near:svhn": "ood must name datasets, digits, .*, got 'svhn'",
        f"--ood=far:{images}": "must be other images than those in distribution, got image_folder",
        "--ood=openood": "ood=openood is for cifar10, cifar100, imagenet2012, got a model of image",
        f"--ood=far:image_folder:{tmp_path / 'empty'}": "empty has no images",
        f"--ood=far:image_folder:{tmp_path / 'none'}": "there is no folder .*none",
        "--ood=near:tfds:flat,far:tfds:flat": "ood must name a set once, got tfds:flat twice",
        "--ood=near:tfds:flat:1.0.0,far:tfds:flat": "ood must name a set once, got tfds:flat twice",
        f"--ood=far:image_folder:{tmp_path / 'link'}": "link, which has .*val/a/0.png as well",
        f"--ood=far:image_folder:{work / 'images/val/c'}": "/c, which has .*val/c/0.png as well",
    }
    for said, message in flags.items():
        always = f"--model={model}", f"--dataset={images}", f"--data_dir={work / 'data'}"
        ending, _ = ending_of("evaluate", *always, *said.split())
        assert isinstance(ending, str) and "\n" not in ending, (said, ending)
        assert re.search(message, ending), (said, ending)


def test_damaged_corrupted_images_are_named(work, model, tmp_path, monkeypatch):
    folders = corruptions.Published("of mine", "mine", "nowhere", corruptions.of_folders)
    monkeypatch.setitem(corruptions.PUBLISHED, "tiny_imagenet_c", folders)
    for name in CLASSES:
        save(tmp_path / "fog" / "3" / name / "0.png", grey(90))
    file = tmp_path / "fog" / "3" / "c" / "1.png"
    save(file, np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8))
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ValueError, match="cannot read .*fog/3/c/1.png: it is damaged"):
        evaluated(work, model, corruptions=f"tiny_imagenet_c:{tmp_path}")
    file.unlink()
    found, said = evaluated(work, model, corruptions=f"tiny_imagenet_c:{tmp_path}")
    assert found.shift["corruptions"]["sets_found"] == 1
    assert "no drop from these can be told" in said
    for label, name in enumerate(CLASSES):  # WordNet ids, where the model has their words
        (tmp_path / "fog" / "3" / name).rename(tmp_path / "fog" / "3" / f"n0000000{label}")
    tiny_model(class_names=CLASSES).save(model)
    of_ids, _ = evaluated(work, model, corruptions=f"tiny_imagenet_c:{tmp_path}")
    assert of_ids.shift["corruptions"]["sets"] == found.shift["corruptions"]["sets"]
    (tmp_path / "fog" / "3" / "n00000000").rename(tmp_path / "fog" / "3" / "other")
    with pytest.raises(ValueError, match="has the class n00000001 where the model has a"):
        evaluated(work, model, corruptions=f"tiny_imagenet_c:{tmp_path}")


def test_damaged_images_of_something_else_are_named(work, model, tmp_path):
    folder = shutil.copytree(work / "noise", tmp_path / "noise")
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[:-200])
    with pytest.raises(ValueError, match="cannot read .*2.png: it is damaged"):
        evaluated(work, model, ood=f"far:image_folder:{folder}")
