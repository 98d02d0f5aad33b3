"""train.py --extend: a run gets more epochs than it had, deliberately."""

import csv
import json
import shutil

import pytest
from scripts_at_work import DIGITS, assert_refused, assert_same_weights, call, said_of
from shared_fixtures import first_epoch_of
from stopped_runs import Killed, at, kill

from mixmo_tf.experiments import Settings, announcement, directory, run_flags
from mixmo_tf.training import checkpoints, logs

pytestmark = pytest.mark.usefixtures("kept_models")

LONGER = [*DIGITS, "--epochs=4", "--milestones=4"]


def test_a_finished_run_goes_on(finished, tmp_path, monkeypatch):
    """Killed in the middle, it ends as one left alone, and holds the old model till then."""
    quiet, killed = (shutil.copytree(finished[0], tmp_path / name) for name in ("quiet", "killed"))
    said = said_of("train", *LONGER, f"--output_dir={quiet}", "--extend")
    assert "From here on the run has 4 epochs, not 2: p(t) falls to 0 at their end" in said
    assert "holds 2 of 4 epochs; going on from there" in said
    model = checkpoints.load_model(quiet)
    assert int(model.step.numpy()) == 4 * 22
    assert model.mixing_probability.total_steps == 4 * 22
    assert model.optimizer.get_config()["learning_rate"]["config"]["milestones"] == [4]
    with open(quiet / "history.csv", newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    peak = model.optimizer.get_config()["learning_rate"]["config"]["learning_rate"]
    assert rates[2:] == pytest.approx([0.1 * peak] * 2)  # of the next step, in epoch 4
    old = (finished[0] / "history.csv").read_bytes()
    assert (quiet / "history.csv").read_bytes().startswith(old)
    assert json.loads((quiet / "metrics.json").read_text())["epochs"] == 4
    lines = (quiet / "run.flags").read_text().splitlines()
    assert lines[0] == "# extended from 2 to 4 epochs at step 44"
    assert {"--epochs=4", "--milestones=4", "--filters=4"} <= set(lines)
    assert "--epochs=2" not in lines

    flags = [*LONGER, f"--output_dir={killed}"]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_end", at(10, kill))
        said_of("train", *flags, "--checkpoint_steps=3", "--extend")
    assert (killed / "checkpoints/step_00000051.keras").exists()
    assert (killed / "model.keras").read_bytes() == (finished[0] / "model.keras").read_bytes()
    assert not directory.is_finished(killed)
    said_of("train", *flags)
    assert_same_weights(quiet / "model.keras", killed / "model.keras")
    assert (quiet / "history.csv").read_text() == (killed / "history.csv").read_text()
    assert directory.is_finished(killed) and run_flags.epochs(killed) == ("2", "4")


def test_other_milestones_alone(finished, tmp_path):
    """They are noted and told where a step is left that they can change, else refused."""
    whole = shutil.copytree(finished[0], tmp_path / "whole")
    half = first_epoch_of(finished, tmp_path / "half")
    first = first_epoch_of(finished, tmp_path / "first")
    shutil.rmtree(first / "checkpoints")
    (first / "history.csv").unlink()
    files = [file for file in whole.glob("*.*") if file.name != "run.lock"]
    before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
    other = [*DIGITS, "--milestones=1", "--extend"]
    calls = [[*DIGITS, "--extend", f"--output_dir={whole}"]]  # as it is: nothing to extend
    calls += [[*other, f"--output_dir={path}"] for path in (whole, half, first)]
    endings, printed = call("train", *calls)
    refused = (
        f"train.py: {whole} has done all of its 2 epochs, so other milestones would change "
        "nothing; add epochs, too"
    )
    assert endings == [None, refused, None, None]
    assert [(file.read_bytes(), file.stat().st_mtime_ns) for file in files] == before
    said = [line for line in printed.splitlines() if line.startswith("Extended at step ")]
    change = "From here on the rate falls at the milestones 1, not 16,19."
    assert said == [f"Extended at step {step}. {change}" for step in (22, 0)]
    assert printed.count("differ from that of a run that had these flags from the start") == 1
    for path, step, extensions in (
        (half, 22, ["extended from milestones 16,19 to 1 at step 22"]),
        (first, 0, []),  # the same as from the start
    ):
        lines = (path / "run.flags").read_text().splitlines()
        assert lines[0] == f"# extended from milestones 16,19 to 1 at step {step}"
        assert "--milestones=1" in lines and "--milestones=16,19" not in lines
        assert run_flags.epochs(path) == ("2", "2") and directory.is_finished(path)
        assert run_flags.extensions(path) == extensions


def test_never_by_accident(finished, tmp_path):
    path = shutil.copytree(finished[0], tmp_path / "run")
    here = f"--output_dir={path}"

    def contents():
        files = [file for file in path.rglob("*") if file.is_file()]
        return {file: file.read_bytes() for file in files if file.name != "run.lock"}

    before = contents()
    cases = [
        ([*LONGER, here], "--epochs 2 there, 4 here, --milestones 16,19 there, 4 here); add --ext"),
        ([*DIGITS, "--epochs=1", "--extend", here], "done 2 epochs, so epochs must be at least 2"),
        ([*LONGER, "--extend", "--alpha=1", here], "other flags (--alpha 2.0 there, 1.0 here, "),
        ([*DIGITS, "--extend", f"--output_dir={tmp_path / 'none'}"], "there is no run in "),
    ]
    assert_refused("train", cases)
    assert contents() == before and not (tmp_path / "none").exists()


def test_what_fades_by_the_step_is_named(caplog):
    with caplog.at_level("INFO"):
        changes = {"--epochs": ("2", "4"), "--milestones": ("1", "")}
        announcement.extension(Settings(unmixing="fade"), changes, 0)
    assert "4 epochs, not 2: p(t) falls to 0 at their end, and unmixing fades over" in caplog.text
