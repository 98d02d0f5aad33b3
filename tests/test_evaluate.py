"""Evaluations: what they say about checkpoints, SavedModels, ensembles; and their tables."""

import io
import json
import logging
import pathlib
import shlex
import shutil

import keras
import numpy as np
import pytest
import shallow_network
from html_pages import Page
from scipy.special import softmax
from scripts_at_work import ending_of, said_of
from test_image_folder import grey, save
from test_strict_json import strictly

import mixmo_tf
from mixmo_tf import data, deployment, evaluation, experiments, strict_json
from mixmo_tf.experiments import absl_flags
from mixmo_tf.experiments.page import drawings
from mixmo_tf.training import checkpoints

DOCS = pathlib.Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "evaluating.md").read_text(encoding="utf-8")


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


def test_a_fold_an_export_and_a_deep_ensemble_have_the_same_figures(runs, tmp_path):
    """All that is of the ensemble; what is between members as far as there are any."""
    model = checkpoints.load_model(runs / "run")
    deployment.fold(model).save(tmp_path / "folded.keras")
    model.export(tmp_path / "exported")
    twin = checkpoints.load_model(runs / "run")
    mixmo_tf.DeepEnsemble([model, twin]).save(tmp_path / "twice.keras")
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


def test_thresholds_and_a_paired_test(runs, tmp_path):
    held_out, twin, kept = runs / "held_out", tmp_path / "twin", tmp_path / "kept"
    shutil.copytree(runs / "twin", twin)  # whose member 0 is always unsure
    flags = (runs / "held_out" / "run.flags").read_text()
    (twin / "run.flags").write_text(flags)
    wanted = {"abstain_risk": 0.5, "abstain_coverage": 0.9}
    found, printed = evaluate(held_out, twin, paired=True, output_dir=kept, **wanted)
    for i, each in enumerate(found):
        described = strictly((kept / str(i) / "metrics.json").read_text())
        predictions = np.load(kept / str(i) / "predictions.npz")
        assert len(predictions) == 6 and all(f"`{key}`" in PAGE for key in predictions)
        p, p_held_out = (
            softmax(evaluation.ensemble_logits(predictions[f"{name}member_logits"]), axis=1)
            for name in ("", "held_out_")
        )
        held_out_labels = predictions["held_out_labels"]
        by_risk, by_coverage = described["abstention"]
        for threshold, name, value in ((by_risk, "risk", 0.5), (by_coverage, "coverage", 0.9)):
            assert (threshold["wanted"], threshold["value"]) == (name, value)
            assert threshold["held_out_examples"] == 100
            at = evaluation.abstention_threshold(p_held_out, held_out_labels, **{name: value})
            there = evaluation.coverage_and_risk(p_held_out, held_out_labels, at)
            here = evaluation.coverage_and_risk(p, predictions["labels"], at)
            figures = {"threshold": at, "coverage": here[0], "risk": here[1]}
            figures |= {"held_out_coverage": there[0], "held_out_risk": there[1]}
            finite = strict_json.finite(figures)
            assert {key: threshold[key] for key in figures} == {key: finite[key] for key in figures}
        assert by_coverage["held_out_coverage"] >= 0.9
        answered = f"{100 * by_coverage['coverage']:.2f} % are answered"
        assert f"{each.name}: For a coverage of at least 90 %, answer where" in printed
        assert answered in printed
        assert set(evaluation.CALIBRATED) <= set(described)
        assert set(described["class_names"]) == set("0123456789")
        assert np.sum(described["confusion_matrix"]) == 360 == sum(described["class_images"])
        np.testing.assert_array_equal(predictions["images"], np.arange(360))
        np.testing.assert_array_equal(predictions["held_out_images"], np.arange(100))
    assert "paired" not in found[0].described() and described["paired"]["against"] == str(held_out)
    expected = evaluation.paired(found[1].logits(), found[0].logits(), found[0].labels)
    assert described["paired"] == {"against": str(held_out), **expected}
    assert f"Against {held_out} on the same images, by McNemar's exact test" in printed


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
        shallow_network.stand_in(monkeypatch)
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
    evaluate(path, output_dir=tmp_path / "kept")
    names = np.load(tmp_path / "kept" / "predictions.npz")["images"]
    assert set(names) == {f"{name}/{i}.png" for name in ("black", "white") for i in range(16)}
    lines = printed.splitlines()
    assert lines.count(f"ratio-error –: {reason}.") == 2
    assert lines.count("AUROC –: all answers are right, or all are wrong.") == 2
    (of_twins,) = [line for line in lines if line.startswith("  2 runs: ")]
    assert of_twins.split()[-1] == "–"


def test_the_page_of_a_run_an_export_and_a_deep_ensemble(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(drawings, "PICTURES", (drawings.TRAINING,))
    models = runs / "run", runs / "run" / "saved_model", f"{runs / 'run'},{runs / 'twin'}"
    settings = experiments.EvaluationSettings(model=models, report=tmp_path / "page")
    file = experiments.report(settings)
    page = Page(file.read_text(encoding="utf-8"))
    headings = [text for _, text in page.headings]
    for i, name in enumerate(("run", "run/saved_model", "run + twin")):
        assert f"Model {i}: {name}" in headings
    assert "the deep ensemble of 2 models answers" in page.text
    curves = [image["alt"] for image in page.images if image["alt"].startswith("Curves of train")]
    assert len(curves) == 3 and all("over 2 epochs" in each for each in curves)
    assert sum(image["src"].startswith("data:image/png") for image in page.images) > 12
    flags = dict(row for row in page.tables[f"Flags of {runs / 'run'}"])
    assert flags["--seed"] == "0" and flags["--dataset"] == "digits"
    one_line = [text.replace("\\\n", "") for text in page.listings]  # as a shell reads it
    of_evaluation, *of_training = map(shlex.split, one_line)
    program, *said = of_evaluation[of_evaluation.index("python") + 1 :]
    values = absl_flags.flags_of(experiments.EvaluationSettings)
    values([program, *said])
    assert program == "scripts/evaluate.py"
    assert absl_flags.settings_of(experiments.EvaluationSettings, values) == settings
    for command, run in zip(of_training, (runs / "run", runs / "twin"), strict=True):
        assert command[:3] == ["python", "scripts/train.py", f"--flagfile={run}/run.flags"]


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
