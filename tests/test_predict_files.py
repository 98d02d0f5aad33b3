"""Image files in, names of classes out, by models of every format."""

import csv
import io
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from picture_files import AXES, UPRIGHT, encoded, stored
from scripts_at_work import call, ending_of
from small_models import as_if_trained, tiny_model

import mixmo_tf
from mixmo_tf import data, deployment
from mixmo_tf.experiments import PredictSettings, images, predict

NAMES = ["a", "b c", "ç,d", "e"]
FORMATS = "model.keras", "exported", "exported/model.onnx", "exported/model_float32.tflite"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a model in every format."""
    path = tmp_path_factory.mktemp("models")
    model = as_if_trained(tiny_model(class_names=NAMES))
    model.save(path / "model.keras")
    formats = "saved_model", "onnx", "litert"
    deployment.export(model, path / "exported", formats, ["float32"], input="jpeg")
    return path


@pytest.fixture
def photos(tmp_path):
    """12 images of three kinds, of any brightness."""
    random = np.random.default_rng(1)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        size = random.integers(10, 50, 2)
        pixels = (random.integers(0, 60, (*size, 3)) + 60 * (i % 4)).astype(np.uint8)
        kind, ending = [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")][i % 3]
        content = encoded(pixels, kind, orientation=1 + i % 8)
        (folder / f"{i:02}.{ending}").write_bytes(content)
    return folder


def test_every_format_says_the_same(models, photos):
    pixels = data.read_images(data.find_images([photos]), (16, 16, 3))
    model = mixmo_tf.load(models / "model.keras")
    expected = model.predict(pixels, verbose=0)
    of_members = tf.nn.softmax(model.member_logits(pixels)).numpy()
    assert len({row.argmax() for row in expected}) > 1
    for name in FORMATS:
        predictions = predict(PredictSettings(model=models / name, files=[photos], batch_size=5))
        assert [each.file for each in predictions] == data.find_images([photos])
        for each, probabilities, members in zip(predictions, expected, of_members, strict=True):
            (answer,) = each.classes
            label = probabilities.argmax()
            assert (answer.label, answer.name) == (label, NAMES[label]) and each.problem is None
            assert answer.probability == pytest.approx(probabilities[label], abs=1e-5)
            assert [member.label for member in each.members] == members.argmax(-1).tolist()
            for member, row in zip(each.members, members, strict=True):
                assert member.probability == pytest.approx(row.max(), abs=1e-5)


def test_a_savedmodel_says_the_same_of_the_files_bytes(models, photos):
    files = [file for file in data.find_images([photos]) if not file.endswith("webp")]
    contents = tf.constant([open(file, "rb").read() for file in files])
    signature = tf.saved_model.load(models / "exported").signatures["serving_bytes"]
    probabilities = signature(image_bytes=contents)["probabilities"].numpy()
    for name in FORMATS:
        for each, row in zip(
            predict(PredictSettings(model=models / name, files=files)), probabilities, strict=True
        ):
            assert each.classes[0].label == row.argmax()
            assert each.classes[0].probability == pytest.approx(row.max(), abs=1e-5)


def test_a_turned_photo_is_the_same_photo(models, tmp_path, untraced):
    for i in AXES:
        (tmp_path / f"{i}.png").write_bytes(encoded(stored(i), "PNG", i))
    predictions = predict(PredictSettings(model=models / "model.keras", files=[tmp_path], top=4))
    assert len(predictions) == 8 and len({each.classes for each in predictions}) == 1
    probabilities = [answer.probability for answer in predictions[0].classes]
    assert sorted(probabilities, reverse=True) == probabilities
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)


def test_a_damaged_file_gets_its_line_and_the_rest_is_answered(models, photos, untraced):
    (photos / "05.webp").write_bytes(b"")
    (photos / "07.png").write_bytes((photos / "07.png").read_bytes()[:100])
    flags = f"--model={models / 'model.keras'}", photos, "nowhere.jpg"
    code, said = ending_of("predict", *flags)
    problems = f"{photos}/05.webp is empty, {photos}/07.png is damaged, nowhere.jpg is not to be "
    assert code == (
        f"predict.py: cannot read 3 of 13 images: {problems}opened (No such file or directory)"
    )
    title, *lines = said.splitlines()
    assert title.split() == ["class", "probability", "member", "0", "member", "1", "problem"]
    assert [line.split()[0] for line in lines] == [*map(str, sorted(photos.iterdir())), flags[-1]]
    assert lines[5].split() == [str(photos / "05.webp"), "empty"]
    assert lines[7].split() == [str(photos / "07.png"), "damaged"]
    pixels = data.read_images([photos / "04.png"], (16, 16, 3))
    (expected,) = mixmo_tf.load(models / "model.keras").predict(pixels, verbose=0)
    name = NAMES[expected.argmax()]
    assert lines[4].split()[1:-4] == [*name.split(), f"{expected.max():.4f}"]


def test_csv_and_json(models, photos, tmp_path):
    (photos / "03.jpg").write_bytes(b"<html>")
    files = [f"--{kind}={tmp_path / f'answers.{kind}'}" for kind in ("csv", "json")]
    model = f"--model={models / 'exported'}"
    code, said = ending_of("predict", model, f"{photos}/*", "--top=2", *files)
    assert code == f"predict.py: cannot read {photos}/03.jpg: it is no image" and not said
    with open(tmp_path / "answers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert list(rows[0]) == [
        "file", "class", "probability", "class_2", "probability_2",
        "member_0_class", "member_0_probability", "member_1_class", "member_1_probability",
        "problem",
    ]  # fmt: skip
    for row, answer in zip(rows, answers, strict=True):
        assert row["file"] == answer["file"]
        if answer["problem"]:
            assert row["problem"] == answer["problem"] == "no image" and not row["class"]
            assert answer["classes"] == answer["members"] == []
            continue
        first, second = answer["classes"]
        assert (row["class"], row["class_2"]) == (first["class"], second["class"])
        assert float(row["probability_2"]) == second["probability"] < first["probability"]
        assert row["member_1_class"] == answer["members"][1]["class"] in NAMES
        assert NAMES[first["label"]] == first["class"] and row["problem"] == ""
    code, _ = ending_of("predict", model, photos, files[0])
    assert code == f"predict.py: {tmp_path}/answers.csv exists; choose another file"


def test_answers_can_go_to_a_stream(models, photos, capfd):
    settings = PredictSettings(model=models / "model.keras", files=[photos], csv="/dev/stdout")
    predictions = predict(settings)
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert [row["class"] for row in rows] == [each.classes[0].name for each in predictions]


def test_files_may_have_any_name(models, photos, tmp_path, untraced):
    """Of another encoding, or with a line break."""
    files = [photos / os.fsdecode(name) for name in (b"caf\xe9.jpg", b"two\nlines.jpg")]
    for file in files:
        shutil.copy(photos / "00.jpg", file)
    answers = tmp_path / "answers.csv"
    code, _ = ending_of("predict", f"--model={models / 'model.keras'}", *files, f"--csv={answers}")
    assert code is None
    for file in files:
        assert os.fsencode(file) in answers.read_bytes()
    files[1].write_bytes(b"")
    code, said = ending_of("predict", f"--model={models / 'model.keras'}", *files)
    name = str(files[1]).replace("\n", r"\n")
    assert code == f"predict.py: cannot read {name}: it is empty"
    assert len(said.splitlines()) == 3 and name in said.splitlines()[2]


def test_what_is_wrong_is_one_line(models, photos, tmp_path, untraced):
    (tmp_path / "empty").mkdir()
    good, exported = f"--model={models / 'model.keras'}", f"--model={models / 'exported'}"
    cases = [
        ([good], "files must name images, folders or patterns, got none"),
        ([good, tmp_path / "empty"], f"{tmp_path}/empty has no images (.jpg, "),
        ([good, f"{tmp_path}/*.gif"], f"no file fits {tmp_path}/*.gif"),
        ([good, ""], "files must name files, got ''"),
        ([good, photos, f"--csv={tmp_path}"], f"{tmp_path} exists; choose another file"),
        (
            [good, photos, "--csv=x.txt", "--json=x.txt"],
            "csv and json must be two files, got x",
        ),
        ([good, photos, f"--json={tmp_path}/no/x.json"], f"there is no folder {tmp_path}/no for"),
        (["--model=nowhere.onnx", photos], "there is no ONNX file at nowhere.onnx"),
        (["--model=nowhere", photos], "there is no model at nowhere"),
        ([good, good, photos], "--model must be there once, got"),
        ([exported, photos, "--ensemble=logits"], "ensemble is for a run or a .keras file; that"),
        ([exported, photos, "--precision=mixed_bfloat16"], "precision is for a run or a .keras"),
    ]
    endings, _ = call("predict", *(flags for flags, _ in cases))
    for ending, (_, message) in zip(endings, cases, strict=True):
        assert ending.startswith("predict.py: ") and message in ending and "\n" not in ending
    model = mixmo_tf.load(models / "model.keras")
    for weights in model.network.weights:
        weights.assign(tf.fill(weights.shape, np.nan))
    model.save(tmp_path / "nan.keras")
    with pytest.raises(ValueError, match="^the model's probabilities are NaN or infinite$"):
        predict(PredictSettings(model=tmp_path / "nan.keras", files=[photos]))


def test_classes_without_names_are_numbers_and_one_member_is_none(tmp_path, photos):
    model = tiny_model(num_members=1)
    deployment.export(model, tmp_path / "exported", ["onnx", "litert"], ["float32"])
    (tmp_path / "exported/class_names.txt").write_text("of\nanother\n")  # has 2 classes
    for name in ("model.onnx", "model_float32.tflite"):
        file = tmp_path / "exported" / name
        assert mixmo_tf.load(file).class_names is None
        for each in predict(PredictSettings(model=file, files=[photos])):
            assert each.classes[0].name == str(each.classes[0].label) and each.members == ()


def test_several_models_are_members(models, photos, tmp_path, untraced):
    other = tiny_model(class_names=NAMES)
    other.save(tmp_path / "other.keras")
    both = f"{models / 'model.keras'},{tmp_path / 'other.keras'}"
    (first,) = predict(PredictSettings(model=both, files=[photos / "00.jpg"]))
    alone = predict(PredictSettings(model=tmp_path / "other.keras", files=[photos / "00.jpg"]))
    assert first.members[1] == pytest.approx(alone[0].classes[0])


def test_a_model_of_imagenet_gets_what_it_is_evaluated_on(tmp_path):
    """The central 87.5 %, of a run, and of what is exported from it."""
    model = tiny_model()
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run/model.keras")
    (tmp_path / "run/run.flags").write_text("--dataset=imagenet2012\n")
    assert images.central_fraction([tmp_path / "run"]) == 0.875
    deployment.export(model, tmp_path / "exported", ["saved_model", "onnx"], central_fraction=0.875)
    framed = np.pad(UPRIGHT[:, :16], ((8, 8), (8, 8), (0, 0)))
    (tmp_path / "a.png").write_bytes(encoded(framed, "PNG"))
    pixels = data.read_images([tmp_path / "a.png"], (16, 16, 3), 0.875)
    (expected,) = model.predict(pixels, verbose=0)
    whole = model.predict(data.read_images([tmp_path / "a.png"], (16, 16, 3)), verbose=0)
    assert abs(whole.max() - expected.max()) > 1e-3
    for name in ("run", "exported", "exported/model.onnx"):
        (only,) = predict(PredictSettings(model=tmp_path / name, files=[tmp_path / "a.png"]))
        assert only.classes[0].probability == pytest.approx(expected.max(), abs=1e-5)
