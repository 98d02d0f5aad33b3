"""Suites: what is done is skipped, what is missing is trained, all is reported."""

import json
import os
import shutil
import statistics
import time

import forking
import pytest
import shallow_network
from scripts_at_work import ending_of, said_of
from suites_at_work import CONFIGS, SMALL, SMALL_FLAGS, finish

from mixmo_tf import experiments
from mixmo_tf.experiments import SuiteSettings, suite, suite_runs, suites
from mixmo_tf.experiments.fields import text
from mixmo_tf.plots import comparison


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory):
    """A suite whose last run alone was missing, its metrics, and what the script printed."""
    output = tmp_path_factory.mktemp("suite")
    metrics = json.loads((finished[0] / "metrics.json").read_text())
    for config in CONFIGS:
        for seed, accuracy in enumerate((0.5, 0.8)):
            if (config, seed) != ("digits_cow_mixmo", 1):
                changes = {"both_wrong": [1 + 2 * seed], "one_wrong": [4 - 2 * seed]}
                changes |= {"nll": 1.0 + seed, "member_accuracy": [0.4 + 0.1 * seed, 0.6]}
                finish(output, config, seed, metrics, SMALL, accuracy=accuracy, **changes)
    flags = "--seeds=0,1", f"--output_dir={output}", *SMALL_FLAGS
    with pytest.MonkeyPatch.context() as monkeypatch:
        shallow_network.stand_in(monkeypatch)
        monkeypatch.setattr(suite_runs, "subprocess", forking)
        ending, printed = ending_of("reproduce", *flags)
    assert ending is None, printed
    return output, metrics, printed


def test_what_is_done_is_skipped_and_the_rest_trained(reported):
    output, _, printed = reported
    assert printed.count("done before") == 11
    assert "digits_cow_mixmo_seed1 …" in printed
    lines = (output / "digits_cow_mixmo_seed1/run.flags").read_text().splitlines()
    assert {"--mixing=cow", "--seed=1", "--filters=2"} <= set(lines)
    assert "Trained for" in (output / "digits_cow_mixmo_seed1.log").read_text()


def test_the_table_has_means_and_deviations(reported):
    output, _, printed = reported
    table = (output / "digits.md").read_text(encoding="utf-8")
    assert table in printed
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()]
    by_method = {cells[0]: cells[1:] for cells in lines}
    spread = 100 * statistics.stdev([0.5, 0.8])
    assert by_method["Cut-MixMo"][:2] == ["2", f"65.00 ± {spread:.2f}"]
    assert by_method["Cut-MixMo"][2] == "52.50 ± 3.54"  # of 50 and 55, each of two members
    assert by_method["Cut-MixMo"][3] == "1.5000 ± 0.7071"
    assert by_method["Cut-MixMo"][4] == "1.50"  # (4 + 2) / (1 + 3)
    trained = json.loads((output / "digits_cow_mixmo_seed1/metrics.json").read_text())
    mean = statistics.mean([50, 100 * trained["accuracy"]])
    assert by_method["Cow-MixMo"][1].startswith(f"{mean:.2f} ± ")
    assert (output / "digits.png").stat().st_size > 10_000


def test_ratio_errors_of_all_seeds_and_versions_are_pooled(tmp_path, said):
    """Five single errors, which an earlier version gave as 0.028; one shared, 4.0; and today's."""
    right = {"examples": 360, "accuracy": 0.99, "nll": 0.1}
    runs = {
        "earlier": right | {"ratio_error": 10 / 360, "member_accuracy": [355 / 360, 1.0]},
        "shared": right | {"ratio_error": 4.0, "member_accuracy": [355 / 360, 359 / 360]},
        "three": right | {"ratio_error": 1.5, "member_accuracy": [0.9] * 3},
        "today": right | {"schema": 2, "ratio_error": None, "both_wrong": [0], "one_wrong": [3]},
    }
    read = {}
    for name, metrics in runs.items():
        metrics.setdefault("member_accuracy", [0.99, 0.99])
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
        read[name] = suite_runs.read(tmp_path / name, "done before")
    assert said()[2].startswith("three: 99.00%  (done before; from an earlier version")
    of_two = [read["earlier"], read["shared"], read["today"]]
    for runs, cell in (
        (of_two, "12.00"),  # (5 + 4 + 3) / 1
        ([read["earlier"], read["today"]], "–"),
        ([read["three"]], "–"),
        ([read["shared"]], "4.00"),
    ):
        table = suite.table({"Cut-MixMo": runs})
        assert table.splitlines()[-1].endswith(f"| {cell} |")
        comparison.draw({"Cut-MixMo": runs}, suite.COLUMNS).savefig(tmp_path / "plot.png")


def test_runs_that_were_extended_are_told(tmp_path, said):
    right = {"accuracy": 0.99, "nll": 0.1, "member_accuracy": [0.9, 0.9], "ratio_error": None}
    folders = [finish(tmp_path, "digits", seed, right) for seed in (0, 1, 2)]
    for folder, note in zip(folders[1:], ("epochs at step 44", "epochs at step 0"), strict=True):
        flags = folder / "run.flags"
        flags.write_text(f"# extended from 2 to 4 {note}\n{flags.read_text()}")
    runs = [suite_runs.read(folder, "done before") for folder in folders]
    assert said()[1].endswith("(done before; extended from 2 to 4 epochs at step 44)")
    assert [line.endswith("(done before)") for line in said()] == [True, False, True]
    lines = suite.table({"MIMO": runs[:1], "Cut-MixMo": runs}).splitlines()
    assert lines[-1] == (
        "Cut-MixMo: 1 of 3 runs began with other epochs, milestones or patience (`--extend`)."
    )
    assert lines[-2] == "" and lines[-3].startswith("| Cut-MixMo | 3 |")


def test_what_is_wrong_is_named(reported):
    output, _, _ = reported
    there = f"{output / 'digits_plain_seed0'} holds a run with other flags (--epochs 1 there, 2"
    cases = (
        ({"seeds": (0, 1), "output_dir": output, **SMALL, "epochs": 2}, there),
        ({"seeds": "one"}, "seeds must be different whole numbers, got one"),
        ({"seeds": (1, 1)}, "seeds must be different whole numbers, got 1,1"),
        ({"seed": 3}, "seed differs from run to run: give --seeds"),
        ({"epochs": 0}, "epochs must be >= 1, got 0"),
        ({"output_dir": "/proc/nowhere"}, "/proc/nowhere"),
    )
    for wrong, message in cases:
        with pytest.raises((ValueError, OSError)) as error:
            experiments.reproduce(SuiteSettings(**wrong))
        assert message in str(error.value) and "\n" not in str(error.value)
    ending, printed = ending_of("reproduce", "--seeds=1,1")
    assert ending == "reproduce.py: seeds must be different whole numbers, got 1,1" and not printed


def test_a_log_that_is_none_is_refused_before_anything_is_trained(tmp_path, forked):
    """The last of the suite's; a user's own file is as it was, and so is the folder."""
    notes = tmp_path / "digits_cow_mixmo_seed1.log"
    notes.write_text("Cow masks: ask Ann\n")
    log = tmp_path / "digits_plain_seed0.log"
    log.write_text("reproduce.py: before\n")
    settings = SuiteSettings(seeds=(0, 1), output_dir=tmp_path, batch_size=5000)
    with pytest.raises(FileExistsError) as error:
        experiments.reproduce(settings)
    assert str(error.value) == f"{notes} exists and is no log of this script; move it"
    assert notes.read_text() == "Cow masks: ask Ann\n"
    assert len(list(tmp_path.iterdir())) == 2
    notes.unlink()
    failed = "train.py: batch_size must be in [1, 1437]"
    with pytest.raises(ValueError) as error:
        experiments.reproduce(settings)
    assert str(error.value).startswith(f"digits_plain_seed0: {failed}")
    before, command_line, *lines = log.read_text().splitlines()
    assert before == "reproduce.py: before"
    assert command_line.startswith("reproduce.py: ") and " --seed=0 " in command_line
    assert lines[-1].startswith(failed)


def test_a_log_of_an_earlier_version_is_gone_on_with(tmp_path):
    log = tmp_path / "digits_plain_seed0.log"
    check = lambda: suite_runs.check_logs("digits_plain", (0,), tmp_path)  # noqa: E731
    for content in ("", "WARNING\ntrain.py: ended by SIGTERM; give the command again\n"):
        log.write_text(content)
        check()
    for name in ("run.flags", "metrics.json"):
        log.write_text("Training wrn with 1 members on digits\n")
        with pytest.raises(FileExistsError, match="seed0.log exists and is no log of this"):
            check()
        (tmp_path / "digits_plain_seed0").mkdir()
        (tmp_path / "digits_plain_seed0" / name).touch()
        check()
        shutil.rmtree(tmp_path / "digits_plain_seed0")


def test_deep_ensembles_wait_for_their_runs(reported, tmp_path, said):
    _, metrics, _ = reported
    for config in suites.configs("cifar10").values():
        if "ensemble" not in config:
            finish(tmp_path, config, 0, metrics)
    runs = experiments.reproduce(SuiteSettings(suite="cifar10", seeds=(0,), output_dir=tmp_path))
    missing = tmp_path / "cifar10_wrn2810_plain_seed1"
    assert f"cifar10_wrn2810_deep_ensemble: left out, it needs {missing}" in said()
    assert "| Deep Ensemble ×2 | 0 | – | – | – | – |" in said()
    assert runs["Deep Ensemble ×2"] == [] and len(runs["MIMO"]) == 1


def test_deep_ensembles_are_evaluated_once(finished, tmp_path, forked):
    path, _, _ = finished
    folders = [tmp_path / f"run_{i}" for i in range(2)]
    for folder in folders:
        shutil.copytree(path, folder)
    together = tmp_path / "together"
    (metrics,) = suite_runs.complete_ensemble("x", folders, together, None)
    alone = json.loads((path / "metrics.json").read_text())
    assert metrics["accuracy"] == pytest.approx(alone["accuracy"])
    assert suite_runs.complete_ensemble("x", folders, together, None) == [metrics]
    os.utime(folders[1] / "model.keras", (time.time() + 60,) * 2)
    with pytest.raises(ValueError, match="together is older than its runs; remove it"):
        suite_runs.complete_ensemble("x", folders, together, None)


def test_a_run_that_is_done_can_be_extended(finished, tmp_path, said, kept_models, monkeypatch):
    """As long as it has fewer epochs than it is to have, it is not done."""

    def run_in_this_process(script, folder, its_flags):
        said_of("train", *(f"--{name}={text(value)}" for name, value in its_flags.items()))
        return suite_runs.read(folder, script)

    monkeypatch.setattr(suite_runs, "_run_script", run_in_this_process)
    folder = shutil.copytree(finished[0], tmp_path / "digits_seed0")
    before = json.loads((folder / "metrics.json").read_text())

    def runs(epochs, **more):
        small = {"filters": 4, "batch_size": 64, "batch_repetitions": 1, "epochs": epochs}
        return suite_runs.complete("digits", SuiteSettings(seeds=(0,), **small, **more), tmp_path)

    assert runs(2) == [before]
    with pytest.raises(ValueError, match="epochs 2 there, 3 here.; add --extend to go on with"):
        runs(3)
    lines = (folder / "run.flags").read_text()
    (folder / "run.flags").write_text(
        "# extended from 2 to 3 epochs at step 44\n" + lines.replace("--epochs=2", "--epochs=3")
    )
    (metrics,) = runs(3, extend=True)  # was ended before it could train
    assert metrics["epochs"] == 3 and metrics["steps"] == 66
    assert any("done before" in line for line in said())
    (metrics,) = runs(4, extend=True)
    assert metrics["epochs"] == 4
    assert runs(4) == [metrics]
