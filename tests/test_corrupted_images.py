"""Models on corrupted images, through `evaluate`."""

import json
import re
import shutil
import types

import numpy as np
import pytest
import shifted_images
from shifted_images import CLASSES, COUNT, EXPLAINED, evaluated
from small_models import tiny_model
from test_image_folder import grey, save
from test_strict_json import strictly

from mixmo_tf import evaluation
from mixmo_tf.data import corruptions
from mixmo_tf.evaluation import corruption
from mixmo_tf.experiments import kept_sets, shift_tables
from mixmo_tf.training import checkpoints

pytestmark = pytest.mark.usefixtures("cifar_of_four")


@pytest.fixture
def model(tmp_path):
    return shifted_images.saved_model(tmp_path)


def on_corrupted(shifted, model, folder=None, **settings):
    settings["corruptions"] = f"cifar10_c:{folder or shifted / 'made'}"
    found, said = evaluated(shifted, model, **settings)
    return found.described()["corruptions"], said


def test_metrics_are_those_of_report(shifted, model, tmp_path):
    found, said = on_corrupted(shifted, model, json=tmp_path / "a.json", batch_size=3)
    loaded = checkpoints.load_model(model)
    for name, severity in ((n, s) for n in ("fog", "saturate") for s in corruptions.SEVERITIES):
        rows = slice((severity - 1) * COUNT, severity * COUNT)
        images, labels = (
            np.load(shifted / "made" / file)[rows] for file in (f"{name}.npy", "labels.npy")
        )
        report = evaluation.report(loaded.member_logits(images).numpy(), labels)
        for key, value in found["sets"][name][str(severity)].items():
            assert value == pytest.approx(report[key], abs=1e-6), (name, severity, key)
    assert set(found["sets"]["fog"]["1"]) >= {*corruption.KEYS, "member_ece"}
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


def test_a_second_call_does_what_is_missing(shifted, model, tmp_path, untraced):
    folder = shutil.copytree(shifted / "made", tmp_path / "made")
    first, said = on_corrupted(shifted, model, folder, corruption_names="fog", severities="2,1")
    assert "Of the sets of cifar10_c, 2 are evaluated now; 0 were in" in said
    assert list(first["sets"]) == ["fog"] and list(first["sets"]["fog"]) == ["1", "2"]
    assert first["sets_missing"] == []
    (file,) = (model.parent / "corruptions").iterdir()
    whole, said = on_corrupted(shifted, model, folder)
    assert f"Of the sets of cifar10_c, 8 are evaluated now; 2 were in {file}." in said
    moved = shutil.copytree(model.parent, tmp_path / "moved") / model.name
    again, said = on_corrupted(shifted, moved, folder, batch_size=7)
    kept = moved.parent / file.relative_to(model.parent)
    assert f"Of the sets of cifar10_c, 0 are evaluated now; 10 were in {kept}." in said
    assert again == whole
    _, said = on_corrupted(shifted, model, folder, ensemble="probabilities")
    assert "Of the sets of cifar10_c, 10 are evaluated now" in said  # kept apart

    np.save(folder / "fog.npy", np.load(folder / "fog.npy")[:, ::-1])
    _, said = on_corrupted(shifted, model, folder)
    assert "Of the sets of cifar10_c, 5 are evaluated now; 5 were in" in said
    other = tiny_model()
    bias = other.network.get_layer("head_0").bias
    bias.assign(bias + np.eye(4)[3] * 100)
    other.save(model)
    changed, said = on_corrupted(shifted, model, folder)
    assert "The model has changed since" in said
    assert "Of the sets of cifar10_c, 10 are evaluated now" in said
    assert changed["sets"]["saturate"] != whole["sets"]["saturate"]
    file.write_text('{"model": 1')
    _, said = on_corrupted(shifted, model, folder)
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


def test_results_that_cannot_be_kept_are_shown_all_the_same(shifted, model, monkeypatch, untraced):
    monkeypatch.setattr(kept_sets, "FOLDER", "model.keras")  # a file
    found, said = on_corrupted(shifted, model, corruption_names="fog")
    assert said.count("What is found is not kept: ") == 1 and found["sets_found"] == 5


def test_made_corruptions_of_the_test_images(shifted, tmp_path, untraced):
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
    found, said = evaluated(shifted, keras_file, corruptions="made", **settings)
    (folder,) = (tmp_path / "data" / "made_corruptions").iterdir()
    assert re.fullmatch(r"mine-[0-9a-f]{8}-test-32x32", folder.name)
    assert f"Corrupted images of image_folder:{images}, test are in {folder}." in said
    metrics = found.shift["corruptions"]
    assert metrics["path"] == str(folder) and metrics["examples"] == 4
    assert "made here" in metrics["note"] and "not to be compared with" in said
    np.testing.assert_array_equal(np.load(folder / "labels.npy")[:4], found.labels)
    again, said = evaluated(shifted, keras_file, corruptions=f"made:{folder}", **settings)
    assert "Of the sets of made, 0 are evaluated now; 4 were in" in said
    assert again.shift["corruptions"] == metrics
    assert {path.name for path in images.iterdir()} == {"train", "val"}


def test_damaged_corrupted_images_are_named(shifted, model, tmp_path, monkeypatch, untraced):
    folders = corruptions.Published("of mine", "mine", "nowhere", corruptions.of_folders)
    monkeypatch.setitem(corruptions.PUBLISHED, "tiny_imagenet_c", folders)
    for name in CLASSES:
        save(tmp_path / "fog" / "3" / name / "0.png", grey(90))
    file = tmp_path / "fog" / "3" / "c" / "1.png"
    save(file, np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8))
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ValueError, match="cannot read .*fog/3/c/1.png: it is damaged"):
        evaluated(shifted, model, corruptions=f"tiny_imagenet_c:{tmp_path}")
    file.unlink()
    found, said = evaluated(shifted, model, corruptions=f"tiny_imagenet_c:{tmp_path}")
    assert found.shift["corruptions"]["sets_found"] == 1
    assert "no drop from these can be told" in said
    for label, name in enumerate(CLASSES):  # WordNet ids, where the model has their words
        (tmp_path / "fog" / "3" / name).rename(tmp_path / "fog" / "3" / f"n0000000{label}")
    tiny_model(class_names=CLASSES).save(model)
    of_ids, _ = evaluated(shifted, model, corruptions=f"tiny_imagenet_c:{tmp_path}")
    assert of_ids.shift["corruptions"]["sets"] == found.shift["corruptions"]["sets"]
    (tmp_path / "fog" / "3" / "n00000000").rename(tmp_path / "fog" / "3" / "other")
    with pytest.raises(ValueError, match="has the class n00000001 where the model has a"):
        evaluated(shifted, model, corruptions=f"tiny_imagenet_c:{tmp_path}")
