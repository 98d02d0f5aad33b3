"""Evaluations: what they say about checkpoints, SavedModels, ensembles; and their tables."""

import io
import json
import logging
import shutil

import keras
import numpy as np
import pytest
from conftest import make_shallow
from scripts_at_work import ending_of, said_of
from test_image_folder import grey, save
from test_strict_json import strictly

from mixmo_tf import data, evaluation, experiments
from mixmo_tf.training import checkpoints


def evaluate(*models, **settings):
    """What a call returns for one model or more, and the text that it logs."""
    log, said = logging.getLogger("mixmo_tf"), io.StringIO()
    handler = logging.StreamHandler(said)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        found = experiments.evaluate(experiments.EvaluationSettings(model=models, **settings))
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    return found, said.getvalue()


@pytest.fixture(scope="module")
def runs(finished, tmp_path_factory):
    """The finished run; another with another seed, which held out images; its SavedModel."""
    folder = tmp_path_factory.mktemp("evaluated")
    run, twin = folder / "run", folder / "twin"
    for path in (run, twin):
        shutil.copytree(finished[0], path)
    lines = (twin / "run.flags").read_text().replace("--seed=0", "--seed=1")
    (twin / "run.flags").write_text(lines)
    shutil.copytree(twin, folder / "held_out")
    lines = lines.replace("--validation_examples=0", "--validation_examples=100")
    (folder / "held_out" / "run.flags").write_text(lines)
    shutil.copytree(folder / "held_out", folder / "other")
    lines = lines.replace("--validation_examples=100", "--validation_examples=50")
    (folder / "other" / "run.flags").write_text(lines)
    model = checkpoints.load_model(run)
    model.export(run / "saved_model")
    for variable in model.network.get_layer("head_0").variables:
        variable.assign(0 * variable)
    model.save(twin / "model.keras")
    return folder


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


def test_several_rows_make_a_table(runs, tmp_path):
    run, twin = runs / "run", runs / "twin"
    kept = tmp_path / "kept"
    models = run, twin, f"{run},{twin / 'checkpoints'}/{STEP}"
    _, printed = evaluate(*models, output_dir=kept)
    figures = json.loads((kept / "metrics.json").read_text())
    assert [row["models"] for row in figures][:2] == [[str(run)], [str(twin)]]
    assert figures[2]["member_accuracy"] == pytest.approx([figures[0]["accuracy"]] * 2)
    first, second = (100 * row["accuracy"] for row in figures[:2])
    assert abs(first - second) > 1
    lines = printed.splitlines()
    (of_twins,) = [line for line in lines if line.startswith(f"  2 runs: {run}")]
    mean, deviation = (first + second) / 2, abs(first - second) / 2**0.5
    assert f"  {mean:.2f} ± {deviation:.2f}  " in of_twins
    one, both = (sum(row[key][0] for row in figures[:2]) for key in ("one_wrong", "both_wrong"))
    assert of_twins.split()[-1] == f"{one / both:.2f}"  # of the errors of both
    assert sum(" runs: " in line for line in lines) == 1
    (of_twin,) = [line for line in lines if line.startswith(f"  {twin} ")]
    assert of_twin.split()[1] == f"{second:.2f}"
    for i in range(3):
        assert {path.name for path in (kept / str(i)).iterdir()} == {
            "run.flags", "predictions.npz", "metrics.json", "model.keras",
        }  # fmt: skip


STEP = "step_00000044.keras"


@pytest.fixture(scope="module")
def never_wrong(tmp_path_factory):
    """A run on black and white images, which no member confuses; and what train.py printed."""
    path = tmp_path_factory.mktemp("never_wrong")
    for split in ("train", "val"):
        for i, name in enumerate(("black", "white")):
            for number in range(16):
                save(path / "images" / split / name / f"{number}.png", grey(255 * i, 16, 16))
    flags = [f"--dataset=image_folder:{path / 'images'}", f"--output_dir={path / 'run'}"]
    flags += ["--filters=4", "--epochs=12", "--batch_size=8", "--batch_repetitions=1"]
    flags += ["--mixing=linear", "--alpha=0", "--weight_root=1", "--input_repetition=1"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_shallow(monkeypatch)
        return path / "run", said_of("train", *flags, "--augmentation=none")


def test_figures_that_are_not_defined_are_null_with_a_reason(never_wrong, tmp_path):
    path, said = never_wrong
    reason = "on no example are both of two members wrong"
    assert f"  ratio-error        – ({reason})\n" in said
    figures = strictly((path / "metrics.json").read_text())
    assert figures["accuracy"] == 1 and figures["ratio_error"] is None
    assert figures["both_wrong"] == [0] and figures["undefined"] == {"ratio_error": reason}
    assert "nan" in (path / "history.csv").read_text().splitlines()[-1]

    twin = tmp_path / "twin"
    shutil.copytree(path, twin)
    (twin / "run.flags").write_text((path / "run.flags").read_text().replace("seed=0", "seed=1"))
    printed = evaluate(path, json=tmp_path / "one.json")[1]
    printed += evaluate(path, twin, json=tmp_path / "two.json")[1]
    one, two = (strictly((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert two == [one, {**one, "models": [str(twin)]}]
    assert one["ratio_error"] is None and one["undefined"]["ratio_error"] == reason
    assert one["member_misclassification_auroc"] == [None, None] and one["nllc"] < 0.1
    lines = printed.splitlines()
    assert lines.count(f"ratio-error –: {reason}.") == 2
    assert lines.count("AUROC –: all answers are right, or all are wrong.") == 2
    (of_twins,) = [line for line in lines if line.startswith("  2 runs: ")]
    assert of_twins.split()[-1] == "–"


def test_an_extended_run_is_no_twin_of_a_straight_one(runs, tmp_path):
    """Of four runs, two were extended at one step: these are twins, and so are the others."""
    paths = [tmp_path / f"{name}{seed}" for name in ("straight", "longer") for seed in (0, 1)]
    for path, source in zip(paths, ("run", "twin") * 2, strict=True):
        shutil.copytree(runs / source, path)
    for path in paths[2:]:
        lines = (path / "run.flags").read_text()
        (path / "run.flags").write_text(f"# extended from 1 to 2 epochs at step 22\n{lines}")
    _, printed = evaluate(*paths)
    of_twins = [line for line in printed.splitlines() if line.startswith("  2 runs: ")]
    assert len(of_twins) == 2 and printed.count(" runs: ") == 2
    assert str(paths[0]) in of_twins[0] and str(paths[2]) in of_twins[1]


def test_what_is_wrong_is_one_line(runs, tmp_path):
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
        ([damaged], {"dataset": "digits"}, "damaged is no readable SavedModel"),
        ([foreign], {"dataset": "digits"}, "has no model.json: it is not from MixMo"),
        ([run / "saved_model"], {"precision": "mixed_bfloat16"}, "whose precision is fixed"),
        ([tmp_path / "none.keras"], {}, "there is no model at"),
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
