"""scripts/export.py --calibrate and --which, as a user calls them."""

import csv
import json
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import softmax
from scripts_at_work import assert_refused, said_of

import mixmo_tf
from mixmo_tf import data, evaluation
from mixmo_tf.deployment.file_predictor import FilePredictor
from mixmo_tf.evaluation.decision import Decision, decide, disagreement_of_each, fit
from mixmo_tf.experiments import ExportSettings, decisions, export_check, images
from mixmo_tf.experiments.models import epochs_in_words

HELD_OUT = {"split": "validation", "validation_examples": 100}


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """The finished run as if it had held out 100 images, and its best epoch had been another.

    What it has learnt in two epochs is worth nothing: its heads are fitted to the images held out.
    """
    path = tmp_path_factory.mktemp("calibrated") / "run"
    shutil.copytree(finished[0], path)
    flags = path / "run.flags"
    flags.write_text(flags.read_text().replace("_examples=0", "_examples=100"))
    model = mixmo_tf.load(path)
    fit_heads(model, *data.load_arrays("digits", **HELD_OUT)[:2])
    model.save(path / "model.keras")
    for variable in model.network.get_layer("head_0").variables:
        variable.assign(2 * variable)
    model.save(path / "best.keras")
    best_is(path, 0)
    return path


def fit_heads(model, pixels, labels):
    """Gives the heads the weights of least squares, by which the logit of the label is 8."""
    heads = [model.network.get_layer(f"head_{i}") for i in range(model.num_members)]
    for kernel, bias in (head.variables for head in heads):
        kernel.assign(np.eye(*kernel.shape))  # the first logits are what the head sees
        bias.assign(np.zeros(bias.shape))
    logits = model.member_logits(pixels)
    for i, (kernel, bias) in enumerate(head.variables for head in heads):
        seen = np.pad(logits[:, i, : kernel.shape[0]], ((0, 0), (0, 1)), constant_values=1)
        weights = np.linalg.lstsq(seen, 8 * np.eye(10)[labels], rcond=None)[0]
        kernel.assign(weights[:-1])
        bias.assign(weights[-1])


def best_is(path, epoch):
    """Has history.csv say that the accuracy was best after an epoch, counted from 0."""
    with open(path / "history.csv") as file:
        lines = list(csv.DictReader(file))
    for i, line in enumerate(lines):
        line["val_accuracy"] = float(i == epoch)
    with open(path / "history.csv", "w") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def test_every_file_is_calibrated_and_checked(run, tmp_path):
    output = tmp_path / "served"
    flags = [f"--model={run}", f"--output_dir={output}", "--format=saved_model,litert"]
    flags += ["--litert=int8", "--members", "--input=jpeg", "--calibration_images=50"]
    said = said_of("export", *flags, "--calibrate", "--abstain_coverage=0.8")
    assert "Fitted on 100 validation images of digits: temperature " in said
    assert f"{run}: the last epoch, 2 (--which=best takes epoch " in said

    model = mixmo_tf.load(run)
    pixels, labels, _ = data.load_arrays("digits", **HELD_OUT)
    held_out = evaluation.ensemble_logits(model.member_logits(pixels))
    described = json.loads((output / "model.json").read_text())
    found = described["decision"]
    expected = fit(held_out, labels, coverage=0.8)
    for name, value in expected._asdict().items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
    assert found["accepts_at"] == {"coverage": 0.8} and found["set_coverage"] == 0.9
    p = decide(held_out, expected).calibrated_probabilities
    is_wrong = (p.argmax(axis=1) != labels)[p.max(axis=1) >= expected.confidence_threshold]
    assert found["fitted_on"] == {
        "dataset": "digits", "split": "validation", "images": 100, "accepted": len(is_wrong),
        "wrong": is_wrong.sum(),
        "risk_bound": pytest.approx(evaluation.risk_bound(len(is_wrong), int(is_wrong.sum()))),
    }  # fmt: skip
    assert len(is_wrong) in (80, 81) and "note" not in found
    assert described["runs"][0]["flags"]["--validation_examples"] == "100"
    assert described["runs"][0]["epoch"] == "last" and described["runs"][0]["epoch_number"] == 2
    assert "--output_dir" not in said
    assert described["metrics"] == evaluation.read_metrics(run / "metrics.json")
    lines = "Fitting the decision on 100 validation images.", "Writing the SavedModel."
    lines += "Writing model_int8.tflite.", "Checking it on 360 images."
    assert sorted(lines, key=said.index) == list(lines)
    assert described["runs"][0]["model"] == "run"
    for file in filter(pathlib.Path.is_file, output.rglob("*")):
        assert str(run.parent).encode() not in file.read_bytes(), file
    file = output / "model_int8.tflite"
    needs = f"{file} is not in a run's folder: name the --dataset (model.json says digits)"
    assert_refused("evaluate", [([f"--model={file}"], needs)])

    of_int8 = FilePredictor(output / "model_int8.tflite")
    logits = evaluation.ensemble_logits(of_int8.member_logits(pixels))
    refitted = fit(logits, labels, coverage=0.8)
    found = found["of_files"]["model_int8.tflite"]
    assert found == pytest.approx(refitted._asdict(), rel=1e-4)
    assert found["temperature"] != expected.temperature
    test_images, test_labels, _ = data.load_arrays("digits", "test")
    rows = dict.fromkeys(("the model", "SavedModel", "model_int8.tflite"))
    for name in rows:
        (row,) = re.findall(rf"^  {name} (.*)$", said, re.MULTILINE)
        rows[name] = row.split()
    ours = decide(evaluation.ensemble_logits(model.member_logits(test_images)), expected)
    p = ours.calibrated_probabilities
    coverage, risk = evaluation.coverage_and_risk(p, test_labels, expected.confidence_threshold)
    calibrated, accepted, error = rows["the model"][-3:]
    assert float(calibrated) == pytest.approx(evaluation.ece(p, test_labels), abs=1e-4)
    assert float(accepted) == pytest.approx(100 * coverage, abs=0.3)
    assert float(error) == pytest.approx(100 * risk, abs=0.3)
    assert rows["SavedModel"][-4:] == [*rows["the model"][-3:], "100.00"]
    of_int8 = mixmo_tf.load(output / "model_int8.tflite").outputs(test_images)["prediction_set"]
    same = np.all(of_int8 == ours.prediction_set, axis=1).mean()
    assert float(rows["model_int8.tflite"][-1]) == pytest.approx(100 * same, abs=0.3)
    assert 0.2 < same < 1

    signature = tf.saved_model.load(output).signatures["serving_bytes"]
    contents = [tf.io.encode_png(image).numpy() for image in test_images[:20]]
    of_bytes = signature(image_bytes=tf.constant(contents))
    np.testing.assert_array_equal(of_bytes["prediction_set"], ours.prediction_set[:20])
    expected = disagreement_of_each(model.member_logits(test_images[:20]))
    np.testing.assert_array_equal(of_bytes["disagreement"], expected)


def test_predict_says_what_a_file_decides(run, tmp_path):
    output = tmp_path / "served"
    flags = [f"--model={run}", f"--output_dir={output}", "--check_images=0"]
    said = said_of("export", *flags, "--calibrate", "--abstain_risk=0.001")
    found = json.loads((output / "model.json").read_text())
    note, bound = found["decision"]["note"], found["decision"]["fitted_on"]["risk_bound"]
    assert note.startswith("100 held-out images are too few to show an error of at most 0.1 %: ")
    assert f"export.py: {note}\n" in said and f"{100 * bound:.1f} % (upper bound" in note
    image = data.load_arrays("digits", "test")[0][0]
    Image.fromarray(image).save(tmp_path / "digit.png")
    outputs = mixmo_tf.load(output).outputs(image[None])
    names = [str(i) for i in np.flatnonzero(outputs["prediction_set"][0])]
    answer, confidence = bool(outputs["accept"][0]), float(outputs["confidence"][0])
    flags = [f"--model={output}", tmp_path / "digit.png"]
    table = said_of("predict", *flags).splitlines()
    assert table[0].split()[-3:] == ["confidence", "accepted", "set"]
    expected = f"{confidence:.4f}  {'yes' if answer else 'no':>8}"
    assert expected in table[1] and table[1].endswith(" " + "; ".join(names))
    said_of("predict", *flags, f"--json={tmp_path / 'x.json'}", f"--csv={tmp_path / 'x.csv'}")
    (of_json,) = json.loads((tmp_path / "x.json").read_text())
    assert (of_json["accepted"], of_json["set"]) == (answer, names)
    assert of_json["confidence"] == pytest.approx(confidence)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0].endswith(",confidence,accepted,set,problem")
    assert lines[1].endswith(f",{int(answer)},{'; '.join(names)},")


def test_the_best_epoch_is_chosen(run, tmp_path, untraced):
    flags = [f"--model={run}", "--which=best", "--check_images=0"]
    said = said_of("export", *flags, f"--output_dir={tmp_path / 'best'}")
    assert re.search(rf"^{run}: epoch \d of 2, the best on held-out images\.$", said, re.MULTILINE)
    pixels = data.load_arrays("digits", "test")[0][:20]
    best, last = mixmo_tf.load(run / "best.keras"), mixmo_tf.load(run)
    exported = mixmo_tf.load(tmp_path / "best")
    answers = exported.predict(pixels)
    np.testing.assert_allclose(answers, best.predict(pixels, verbose=0), atol=1e-5)
    assert np.abs(answers - last.predict(pixels, verbose=0)).max() > 1e-3
    (of_run,) = exported.description["runs"]
    assert of_run["epoch"] == "best" and of_run["epoch_number"] == 1
    assert "metrics" not in exported.description  # metrics.json is of the last epoch
    said = said_of("evaluate", f"--model={run}", "--which=best", "--split=validation")
    assert f"{run}: epoch " in said and "the best on held-out images" in said
    said = said_of("evaluate", f"--model={run}", "--which=last", "--split=validation")
    assert f"{run}: the last epoch, 2 (--which=best takes epoch 1)." in said
    same = shutil.copytree(run, tmp_path / "same")
    best_is(same, 1)
    (line,) = epochs_in_words([same])
    assert line == f"{same}: the last epoch, 2, the best on held-out images too."


def test_what_cannot_be_is_one_line_and_nothing_is_written(finished, run, tmp_path, untraced):
    x = f"--output_dir={tmp_path / 'x'}"
    of_run, no_held_out = [f"--model={run}", x], [f"--model={finished[0]}", x]
    alone = shutil.copy(run / "model.keras", tmp_path / "alone.keras")
    needs = "calibrate needs held-out images beside the test images, and of digits none are held"
    others = "calibrate fits on held-out images and tests on the test images: leave out the split, "
    cases = [
        ([*no_held_out, "--calibrate"], needs),
        ([*of_run, "--calibrate", "--split=validation"], others + "got split=v"),
        ([*of_run, "--calibrate", "--split=train"], others + "got split=train"),
        ([f"--model={alone}", x, "--calibrate", "--dataset=digits"], needs),
        ([f"--model={alone}", x, "--calibrate"], "is not in a run's folder: name the --dataset"),
        ([*of_run, "--abstain_risk=0.1"], "abstain_risk is for --calibrate"),
        (
            [*of_run, "--calibrate", "--abstain_risk=0.1", "--abstain_coverage=0.9"],
            "abstain_risk and abstain_coverage are one or the other, got both",
        ),
        ([*of_run, "--calibrate", "--abstain_risk=2"], "abstain_risk must be in [0, 1], got 2"),
        ([*no_held_out, "--which=best"], f"{finished[0]} has no best.keras: only a run with held"),
        ([f"--model={alone}", x, "--which=last"], "which=last is for runs' folders, and "),
    ]
    assert_refused("export", cases)
    assert_refused("evaluate", [([f"--model={finished[0]}", "--which=best"], "has no best.keras")])
    assert not (tmp_path / "x").exists()


def test_thresholds_that_are_not_there_are_said(run, untraced):
    settings = ExportSettings(model=[run], calibrate=True)
    model = mixmo_tf.load(run)
    tested_on, held_out = images.find(settings, [run], model)
    said = decisions.Fitted(settings, tested_on, held_out, images.load, model).in_words
    nothing = "nothing accepted, as no threshold keeps an error of at most 5 %; sets of all classes"
    assert nothing in said(Decision(1.0, np.inf, np.inf))
    some = "a confidence of 0.5000 on, for an error of at most 5 %; sets up to a sum of 0.2500"
    assert some in said(Decision(1.0, 0.5, 0.25))
    assert "; sets of the most probable class alone, which is right for 90 % of" in said(
        Decision(1.0, 0.5, 0.0)
    )


def test_what_a_folder_without_test_images_lacks_is_said():
    settings = ExportSettings(model=["run"], calibrate=True)
    flat = images.Images("image_folder:photos", "validation", None, (("validation_examples", 60),))
    needs = "the ones that it is tested on, and image_folder:photos has no test images: train on a "
    with pytest.raises(ValueError, match=f"{needs}folder with train/, val/ and test/, or name oth"):
        decisions.Fitted(settings, flat, None, images.load, None)


def test_a_temperature_that_makes_the_ece_larger_is_said(run, untraced):
    """At temperature 1 nothing changes; far above it, right answers' confidence is near 1/10."""
    model, settings = mixmo_tf.load(run), ExportSettings(model=[run], calibrate=True)
    of_run, _ = images.find(settings, [run], model)
    for temperature, is_said in ((1.0, False), (1000.0, True), (0.5, False)):
        decision = Decision(temperature, 0.0, np.inf)
        expected = export_check.Expected(model, of_run, 50, images.load, decision)
        expected.labels = expected.logits.argmax(axis=1)
        logits = expected.logits / temperature
        before = evaluation.ece(softmax(expected.logits, axis=1), expected.labels)
        after = evaluation.ece(softmax(logits, axis=1), expected.labels)
        line = f"ECE larger on these images, {after:.4f} instead of {before:.4f}: it has the low"
        assert (line in expected.table([])) == is_said
        assert is_said == (after > 0.85 > before)
