"""Several models in one call of `evaluate`: a table, a paired test, a page, runs by seed."""

import json
import shlex
import shutil

import numpy as np
import pytest
from evaluations import PAGE, evaluate
from html_pages import Page
from scipy.special import softmax
from test_strict_json import strictly

from mixmo_tf import evaluation, experiments, strict_json
from mixmo_tf.experiments import absl_flags
from mixmo_tf.experiments.page import drawings

pytestmark = pytest.mark.usefixtures("untraced")


def test_thresholds_and_a_paired_test(runs, tmp_path):
    held_out, seed_1, kept = runs / "held_out", tmp_path / "seed_1", tmp_path / "kept"
    shutil.copytree(runs / "seed_1", seed_1)  # whose member 0 is always unsure
    flags = (runs / "held_out" / "run.flags").read_text()
    (seed_1 / "run.flags").write_text(flags)
    wanted = {"abstain_risk": 0.5, "abstain_coverage": 0.9}
    found, printed = evaluate(held_out, seed_1, paired=True, output_dir=kept, **wanted)
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
            metrics = {"threshold": at, "coverage": here[0], "risk": here[1]}
            metrics |= {"held_out_coverage": there[0], "held_out_risk": there[1]}
            finite = strict_json.finite(metrics)
            assert {key: threshold[key] for key in metrics} == {key: finite[key] for key in metrics}
            kept_there = threshold["held_out_answers"], threshold["held_out_errors"]
            assert kept_there[0] == round(100 * there[0])
            assert threshold["held_out_risk_bound"] == evaluation.risk_bound(*kept_there)
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
    run, seed_1 = runs / "run", runs / "seed_1"
    kept = tmp_path / "kept"
    models = run, seed_1, f"{run},{seed_1 / 'checkpoints'}/{STEP}"
    _, printed = evaluate(*models, output_dir=kept)
    metrics = json.loads((kept / "metrics.json").read_text())
    assert [row["models"] for row in metrics][:2] == [[str(run)], [str(seed_1)]]
    assert metrics[2]["member_accuracy"] == pytest.approx([metrics[0]["accuracy"]] * 2)
    first, second = (100 * row["accuracy"] for row in metrics[:2])
    assert abs(first - second) > 1
    lines = printed.splitlines()
    (of_seeds,) = [line for line in lines if line.startswith(f"  2 runs: {run}")]
    mean, deviation = (first + second) / 2, abs(first - second) / 2**0.5
    assert f"  {mean:.2f} ± {deviation:.2f}  " in of_seeds
    one, both = (sum(row[key][0] for row in metrics[:2]) for key in ("one_wrong", "both_wrong"))
    assert of_seeds.split()[-1] == f"{one / both:.2f}"  # of the errors of both
    assert sum(" runs: " in line for line in lines) == 1
    (of_seed_1,) = [line for line in lines if line.startswith(f"  {seed_1} ")]
    assert of_seed_1.split()[1] == f"{second:.2f}"
    for i in range(3):
        assert {path.name for path in (kept / str(i)).iterdir()} == {
            "run.flags", "predictions.npz", "metrics.json", "model.keras",
        }  # fmt: skip


STEP = "step_00000044.keras"


def test_the_page_of_a_run_an_export_and_a_deep_ensemble(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(drawings, "PICTURES", (drawings.TRAINING,))
    models = runs / "run", runs / "run" / "saved_model", f"{runs / 'run'},{runs / 'seed_1'}"
    settings = experiments.EvaluationSettings(model=models, report=tmp_path / "page")
    file = experiments.report(settings)
    page = Page(file.read_text(encoding="utf-8"))
    headings = [text for _, text in page.headings]
    for i, name in enumerate(("run", "run/saved_model", "run + seed_1")):
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
    for command, run in zip(of_training, (runs / "run", runs / "seed_1"), strict=True):
        assert command[:3] == ["python", "scripts/train.py", f"--flagfile={run}/run.flags"]


def test_an_extended_run_differs_from_a_straight_one_in_more_than_its_seed(runs, tmp_path):
    """Of four runs, two were extended at one step: each two differ in their seed alone."""
    paths = [tmp_path / f"{name}{seed}" for name in ("straight", "longer") for seed in (0, 1)]
    for path, source in zip(paths, ("run", "seed_1") * 2, strict=True):
        shutil.copytree(runs / source, path)
    for path in paths[2:]:
        lines = (path / "run.flags").read_text()
        (path / "run.flags").write_text(f"# extended from 1 to 2 epochs at step 22\n{lines}")
    _, printed = evaluate(*paths)
    of_seeds = [line for line in printed.splitlines() if line.startswith("  2 runs: ")]
    assert len(of_seeds) == 2 and printed.count(" runs: ") == 2
    assert str(paths[0]) in of_seeds[0] and str(paths[2]) in of_seeds[1]
