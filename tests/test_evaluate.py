"""Evaluations: what they say about checkpoints, SavedModels, ensembles; and their tables."""

import json
import shutil

import keras
import numpy as np
import pytest
import shallow_network
from evaluations import evaluate
from scripts_at_work import ending_of, said_of
from test_image_folder import grey, save
from test_strict_json import strictly

import mixmo_tf
from mixmo_tf import data, deployment, evaluation
from mixmo_tf.training import checkpoints


def test_the_metrics_of_one_model(runs, tmp_path):
    run, kept = runs / "run", tmp_path / "kept"
    (once,), printed = evaluate(run, json=tmp_path / "a.json", output_dir=kept)
    assert printed.endswith(f"Saved the metrics in {kept}.\n")
    read = {
        name: evaluate(path)[0][0].described()
        for name, path in {
            "a": run,
            "exported": run / "saved_model",
            "again": kept,
            "held_out": runs / "held_out",
        }.items()
    }
    first = json.loads((tmp_path / "a.json").read_text())
    assert first == once.described() == read["a"]  # to the last bit
    assert first["examples"] == 360 and first["ensemble"] == "logits"
    assert set(evaluation.METRICS) <= set(first)
    for title in ("ensemble  member 0  member 1", "accuracy, %", "NLLc", "TACE", "Q-statistic"):
        assert title in printed

    labels = data.load_arrays("digits", "test")[1]
    predictions = np.load(kept / "predictions.npz")
    np.testing.assert_array_equal(predictions["labels"], labels)
    recomputed = evaluation.report(predictions["member_logits"], predictions["labels"])
    assert {name: first[name] for name in recomputed} == recomputed
    for name, value in recomputed.items():
        assert read["exported"][name] == pytest.approx(value, abs=1e-5), name
        assert read["again"][name] == value

    fitted_on = "the other nine of ten folds of the test images"
    assert first["temperature_fitted_on"] == fitted_on
    assert f"Temperatures fitted on {fitted_on}." in printed
    assert first["schema"] == evaluation.read_metrics(tmp_path / "a.json")["schema"] == 2
    assert evaluation.read_metrics(kept) == first
    assert read["held_out"]["temperature_fitted_on"] == "validation images"
    held_out = data.load_examples("digits", "validation", validation_examples=100)
    model = checkpoints.load_model(run)
    together = evaluation.ensemble_logits(evaluation.predict(model, held_out.batches(500))[0])
    temperature = evaluation.fit_temperature(together, held_out.labels)
    assert read["held_out"]["temperature"] == pytest.approx(temperature, rel=1e-4)
    assert len(read["held_out"]["member_temperature"]) == 2
    assert read["held_out"]["nll"] == first["nll"] and read["held_out"]["nllc"] != first["nllc"]


def test_a_fold_an_export_and_a_deep_ensemble_have_the_same_metrics(runs, tmp_path, untraced):
    """All that is of the ensemble; what is between members as far as there are any."""
    model = checkpoints.load_model(runs / "run")
    deployment.fold(model).save(tmp_path / "folded.keras")
    model.export(tmp_path / "exported")
    second = checkpoints.load_model(runs / "run")
    mixmo_tf.DeepEnsemble([model, second]).save(tmp_path / "twice.keras")
    (expected,), _ = evaluate(runs / "run")
    of_one = [key for key, metric in evaluation.METRICS.items() if not metric.between]
    for name in ("folded.keras", "exported", "twice.keras"):
        (found,), _ = evaluate(tmp_path / name, dataset="digits")
        for key in of_one:  # rounding may change the place of an image, of 360, among all
            near = {"rel": 1e-4} if key in ("nll", "nllc", "brier") else {"abs": 5e-3}
            value = pytest.approx(expected.metrics[key], **near)
            assert found.metrics[key] == value, (name, key)
        matrices = [np.array(each.described()["confusion_matrix"]) for each in (expected, found)]
        assert np.abs(matrices[0] - matrices[1]).sum() <= 2
        scores = evaluation.ood_scores(found.member_logits, found.ensemble)
        expected_scores = evaluation.ood_scores(expected.member_logits)
        if name == "folded.keras":  # which has no members
            del expected_scores["mutual_information"]
        if name == "twice.keras":  # whose members are alike
            expected_scores["mutual_information"] = np.zeros(360)
        assert list(scores) == list(expected_scores)
        for key, of_images in expected_scores.items():
            np.testing.assert_allclose(scores[key], of_images, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def never_wrong(tmp_path_factory):
    """A run on black and white images, which no member confuses; and what train.py printed."""
    path = tmp_path_factory.mktemp("never_wrong")
    for split in ("train", "val"):
        for i, name in enumerate(("black", "white")):
            for number in range(16):
                save(path / "images" / split / name / f"{number}.png", grey(255 * i, 16, 16))
    flags = [f"--dataset=image_folder:{path / 'images'}", f"--output_dir={path / 'run'}"]
    flags += ["--filters=4", "--epochs=4", "--batch_size=4", "--batch_repetitions=1"]
    flags += ["--learning_rate=0.1", "--warmup_steps=0"]
    flags += ["--mixing=linear", "--alpha=0", "--weight_root=1", "--input_repetition=1"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        shallow_network.stand_in(monkeypatch)
        return path / "run", said_of("train", *flags, "--augmentation=none")


def test_metrics_that_are_not_defined_are_null_with_a_reason(never_wrong, tmp_path, untraced):
    path, said = never_wrong
    reason = "on no example are both of two members wrong"
    assert f"  ratio-error        – ({reason})\n" in said
    metrics = strictly((path / "metrics.json").read_text())
    assert metrics["accuracy"] == 1 and metrics["ratio_error"] is None
    assert metrics["both_wrong"] == [0] and metrics["undefined"] == {"ratio_error": reason}
    assert "nan" in (path / "history.csv").read_text().splitlines()[-1]

    seed_1 = tmp_path / "seed_1"
    shutil.copytree(path, seed_1)
    (seed_1 / "run.flags").write_text((path / "run.flags").read_text().replace("seed=0", "seed=1"))
    printed = evaluate(path, json=tmp_path / "one.json")[1]
    printed += evaluate(path, seed_1, json=tmp_path / "two.json")[1]
    one, two = (strictly((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert two == [one, {**one, "models": [str(seed_1)]}]
    assert one["ratio_error"] is None and one["undefined"]["ratio_error"] == reason
    assert one["member_misclassification_auroc"] == [None, None] and one["nllc"] < 0.1
    evaluate(path, output_dir=tmp_path / "kept")
    names = np.load(tmp_path / "kept" / "predictions.npz")["images"]
    assert set(names) == {f"{name}/{i}.png" for name in ("black", "white") for i in range(16)}
    lines = printed.splitlines()
    assert lines.count(f"ratio-error –: {reason}.") == 2
    assert lines.count("AUROC –: all answers are right, or all are wrong.") == 2
    (of_seeds,) = [line for line in lines if line.startswith("  2 runs: ")]
    assert of_seeds.split()[-1] == "–"


def test_what_is_wrong_is_one_line(runs, tmp_path, untraced):
    model = checkpoints.load_model(runs / "run")
    head = model.network.get_layer("head_1")
    head.bias.assign(head.bias + np.nan)
    model.save(tmp_path / "nan.keras")
    damaged = tmp_path / "damaged"
    shutil.copytree(runs / "run" / "saved_model", damaged)
    (damaged / "saved_model.pb").write_bytes(b"no model")
    foreign = tmp_path / "foreign"
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).export(foreign)
    run, held_out, other = (runs / name for name in ("run", "held_out", "other"))
    cases = [
        ([tmp_path / "nan.keras"], {"dataset": "digits"}, "example 0 are not finite"),
        ([damaged], {"dataset": "digits"}, "damaged is not a readable SavedModel"),
        ([foreign], {"dataset": "digits"}, "has no model.json: it is not from MixMo"),
        ([run / "saved_model"], {"precision": "mixed_bfloat16"}, "whose precision is fixed"),
        ([tmp_path / "none.keras"], {}, "there is no model at"),
        ([run], {"abstain_risk": 0.05}, "abstain_risk needs held-out images beside the test"),
        (
            [held_out],
            {"abstain_risk": 0.05, "split": "validation"},
            "abstain_risk needs test images beside those held out: these, which",
        ),
        ([held_out], {"abstain_coverage": 1.5}, "abstain_coverage must be in [0, 1], got 1.5"),
        ([run], {"paired": True}, "paired needs two --model or more, to test against the first"),
        (
            [run, held_out],
            {"split": "validation"},
            "the split validation needs validation_examples > 0",
        ),
        (
            [held_out, other],
            {"split": "validation"},
            f"the models have other images: digits, validation for {held_out}, digits",
        ),
    ]
    for models, settings, message in cases:
        with pytest.raises((ValueError, OSError)) as error:
            evaluate(*models, **settings)
        assert message in str(error.value) and "\n" not in str(error.value)
    ending, printed = ending_of("evaluate", f"--model={tmp_path / 'none.keras'}")
    assert ending.startswith("evaluate.py: there is no model at") and not printed
