"""Models on images of something else, through `evaluate`."""

import json
import shutil

import numpy as np
import pytest
import shifted_images
from shifted_images import EXPLAINED, evaluated
from test_strict_json import strictly
from test_tfds_images import greys, store

from mixmo_tf import data, evaluation
from mixmo_tf.experiments import ood
from mixmo_tf.training import checkpoints


@pytest.fixture
def model(tmp_path):
    return shifted_images.saved_model(tmp_path)


def test_out_of_distribution(shifted, model, tmp_path):
    sets = f"near:tfds:flat,near:tfds:train_only,far:image_folder:{shifted / 'noise'}"
    found, said = evaluated(shifted, model, ood=sets, json=tmp_path / "a.json", batch_size=4)
    metrics = found.shift["ood"]
    assert strictly((tmp_path / "a.json").read_text())["ood"] == json.loads(json.dumps(metrics))
    assert [(each["group"], each["split"], each["examples"]) for each in metrics["sets"]] == [
        ("near", "test", 6), ("near", "train", 2), ("far", "all", 5),
    ]  # fmt: skip
    loaded = checkpoints.load_model(model)
    flat = np.concatenate(greys(*range(0, 120, 20), size=(16, 16), channels=3))
    inside = evaluation.ood_scores(found.member_logits)
    outside = evaluation.ood_scores(loaded.member_logits(flat.reshape(6, 16, 16, 3)).numpy())
    first, second, third = (each["scores"] for each in metrics["sets"])
    for score, of_score in first.items():
        theirs = evaluation.ood(inside[score], outside[score])
        assert of_score == {key: pytest.approx(value, abs=1e-4) for key, value in theirs.items()}
    assert list(first) == [
        "max_probability", "max_logit", "energy", "entropy", "mutual_information",
    ]  # fmt: skip
    mean = metrics["near"]["scores"]["energy"]["auroc"]
    assert mean == pytest.approx((first["energy"]["auroc"] + second["energy"]["auroc"]) / 2)
    assert metrics["far"]["scores"] == third
    for key in {*metrics, *metrics["sets"][0], *first, *first["energy"]}:
        assert f"`{key}`" in EXPLAINED, key
    assert len(metrics["near"]["member_scores"]) == len(metrics["sets"][0]["member_scores"]) == 2
    assert "mutual_information" not in metrics["sets"][0]["member_scores"][0]
    assert "RGB, the shorter side scaled to 16 pixels (bilinear), centre crop" in said
    assert "  near tfds:flat, test: largest probability  " in said
    assert "  near, mean: mutual information  " in said
    assert "far, mean" not in said  # there is one
    assert "  far image_folder:noise, all: energy  " in said


def test_the_protocols_sets_that_are_there(shifted, model, tmp_path, monkeypatch, untraced):
    protocol = ood.OPENOOD["cifar10"]
    monkeypatch.setitem(ood.OPENOOD, data.full_name(f"image_folder:{shifted / 'images'}"), protocol)
    with pytest.raises(FileNotFoundError, match=f"OpenOOD's sets is in {tmp_path}: cifar100"):
        evaluated(shifted, model, ood="openood", data_dir=tmp_path)
    mnist = greys(0, 90, size=(28, 28))
    store(tmp_path, "mnist", mnist, {"test": [0, 1]}, 10, (28, 28, 1), "3.0.1")
    found, said = evaluated(shifted, model, ood="openood", data_dir=tmp_path)
    metrics = found.shift["ood"]
    assert [each["dataset"] for each in metrics["sets"]] == ["tfds:mnist"]
    assert metrics["protocol"] == "OpenOOD's sets, unfiltered" and "near" not in metrics
    assert metrics["missing"] == [
        "cifar100", "tiny_imagenet", "tfds:svhn_cropped", "tfds:dtd", "tfds:places365_small",
    ]  # fmt: skip
    assert "Not there: cifar100, tiny_imagenet, tfds:svhn_cropped, " in said


def test_damaged_images_of_something_else_are_named(shifted, model, tmp_path, untraced):
    folder = shutil.copytree(shifted / "noise", tmp_path / "noise")
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[:-200])
    with pytest.raises(ValueError, match="cannot read .*2.png: it is damaged"):
        evaluated(shifted, model, ood=f"far:image_folder:{folder}")
