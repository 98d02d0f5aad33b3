"""Models on corrupted images and on images of something else in one call of `evaluate`."""

import re

import numpy as np
import pytest
import shifted_images
from evaluations import evaluate
from html_pages import Page
from scripts_at_work import ending_of
from shifted_images import evaluated
from small_models import tiny_model
from test_corruptions import write_arrays

from mixmo_tf import data, deployment, evaluation
from mixmo_tf.experiments.page import drawings
from mixmo_tf.formats import litert_graphs
from mixmo_tf.training import checkpoints

pytestmark = pytest.mark.usefixtures("cifar_of_four")


@pytest.fixture
def model(tmp_path):
    return shifted_images.saved_model(tmp_path)


def test_folded_exported_and_together_they_have_the_same_metrics(shifted, model, tmp_path):
    loaded = checkpoints.load_model(model)
    deployment.fold(loaded, members=True).save(tmp_path / "folded.keras")
    loaded.export(tmp_path / "exported")
    loaded.export(tmp_path / "exported" / "model.onnx", format="onnx")
    loaded.export(tmp_path / "exported" / "model.tflite", format="litert")
    other = tmp_path / "other.keras"
    bias = loaded.network.get_layer("head_0").bias
    bias.assign(bias + np.linspace(-3, 3, 4))
    loaded.save(other)
    both_shifts = {"corruptions": f"cifar10_c:{shifted / 'made'}", "corruption_names": "fog"}
    both_shifts |= {"ood": f"far:image_folder:{shifted / 'noise'}"}

    def metrics(*models):
        return evaluated(shifted, ",".join(map(str, models)), **both_shifts)[0].shift

    whole = metrics(model)
    for name in ("folded.keras", "exported", "exported/model.onnx", "exported/model.tflite"):
        there = metrics(tmp_path / name)
        assert there["ood"]["sets"][0] == approximately(whole["ood"]["sets"][0])
        assert there["corruptions"]["sets"] == approximately(whole["corruptions"]["sets"])
    both, of_other = metrics(model, other), metrics(other)
    of_members = both["corruptions"]["sets"]["fog"]["1"]["member_nll"]
    alone = [each["corruptions"]["sets"]["fog"]["1"]["nll"] for each in (whole, of_other)]
    assert of_members == pytest.approx(alone, abs=1e-5)
    members = both["ood"]["sets"][0]["member_scores"]
    for member, each in zip(members, (whole, of_other), strict=True):
        scores = each["ood"]["sets"][0]["scores"]
        assert member["entropy"] == approximately(scores["entropy"])


def test_a_file_alone_does_not_say_what_its_ensemble_averages(
    shifted, model, tmp_path, monkeypatch
):
    """If it is of an earlier version, whose files have no metadata."""
    file = tmp_path / "alone.tflite"
    monkeypatch.setattr(litert_graphs, "with_metadata", lambda content, text: content)
    checkpoints.load_model(model).export(file, format="litert")
    with pytest.raises(ValueError, match="alone.tflite has no model.json beside it: say what is"):
        evaluated(shifted, file)
    found, _ = evaluated(shifted, file, ensemble="logits", output_dir=tmp_path / "kept")
    assert found.member_logits.shape == (12, 2, 4)
    assert not (tmp_path / "kept" / "model.keras").exists()
    with pytest.raises(ValueError, match="is an exported model, whose precision is fixed"):
        evaluated(shifted, file, precision="mixed_bfloat16")


def approximately(content):
    """The same nested metrics, to the rounding of float32."""
    if isinstance(content, dict):
        return {key: approximately(value) for key, value in content.items()}
    if isinstance(content, list):
        return [approximately(value) for value in content]
    return pytest.approx(content, abs=1e-4) if isinstance(content, float) else content


def test_several_models_side_by_side(shifted, model, tmp_path, monkeypatch, untraced):
    monkeypatch.setattr(drawings, "PICTURES", ())  # but for those of other images
    plain = model.parent / "plain.keras"
    tiny_model(num_members=1).save(plain)
    settings = {"corruptions": f"cifar10_c:{shifted / 'made'}", "corruption_names": "fog"}
    settings |= {"ood": f"far:image_folder:{shifted / 'noise'}"}
    settings |= {"dataset": f"image_folder:{shifted / 'images'}", "report": tmp_path / "page"}
    found, said = evaluate(model, plain, **settings)
    of_corruptions, of_far = said.split("Corrupted images, cifar10_c, mean over those found; of 5")[
        1
    ].split("Out of distribution, far, mean AUROC in % by score")
    for each in found:
        mean = each.shift["corruptions"]["mean_over_found"]
        metrics = f"{100 * mean['accuracy']:.2f} +{mean['nll']:.4f} +{mean['ece']:.4f}"
        assert re.search(rf"  {each.name} +{metrics}", of_corruptions)
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
    metrics = evaluation.ood(inside["energy"], scores["energy"])
    assert metrics == found[1].shift["ood"]["sets"][0]["scores"]["energy"]


def test_what_is_wrong_is_one_line(shifted, model, tmp_path, untraced):
    one = write_arrays(tmp_path / "grey", "fog", shape=(16, 16, 1))
    many = write_arrays(tmp_path / "many", "fog", shape=(16, 16, 3))
    np.save(many / "labels.npy", np.full(10, 4))
    (tmp_path / "empty").mkdir()
    images = data.full_name(f"image_folder:{shifted / 'images'}")
    (tmp_path / "link").symlink_to(shifted / "images")
    flags = {
        "--corruptions=fogs": "corruptions must be one of cifar10_c, .*, made, .* got 'fogs'",
        f"--corruptions=cifar10_c:{tmp_path}": f"there is no CIFAR-10-C in {tmp_path}; it is at",
        f"--corruptions=cifar10_c:{one}": r"cifar10_c has \(16, 16, 1\) and 4",
        f"--corruptions=cifar10_c:{many}": "labels must be in 0 to 3, got 4",
        f"--corruptions=made:{shifted / 'made'}": "need images of 32×32 pixels or more",
        f"--corruptions=made:{tmp_path / 'new'} --dataset=digits": "the model takes images .16, 16",
        f"--corruptions=cifar10_c:{shifted}/made --corruption_names=snow": "no snow of severity 1",
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
        f"--ood=far:image_folder:{shifted / 'images/val/c'}": "/c, which has .*val/c/0.png as well",
    }
    for said, message in flags.items():
        always = f"--model={model}", f"--dataset={images}", f"--data_dir={shifted / 'data'}"
        ending, _ = ending_of("evaluate", *always, *said.split())
        assert isinstance(ending, str) and "\n" not in ending, (said, ending)
        assert re.search(message, ending), (said, ending)
