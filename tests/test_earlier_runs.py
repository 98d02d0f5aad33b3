"""Runs that an earlier version began, or another number of threads, go on and say so."""

import os
import shutil
import sys

import pytest
import tensorflow as tf
from scripts_at_work import DIGITS, call, said_of
from shared_fixtures import first_epoch_of, undo_last_epoch

import mixmo_tf
from mixmo_tf.experiments import run_flags
from mixmo_tf.training import history, loop

pytestmark = pytest.mark.usefixtures("kept_models")


@pytest.fixture
def before_training(monkeypatch):
    """What train says before its first step, where it ends."""

    def said(*flags):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "train", lambda *_, **__: sys.exit())
            return said_of("train", *DIGITS, *flags)

    return said


def test_a_column_more_makes_no_line_wrong(tmp_path):
    """A later version may measure more than the one that began the run."""
    lines = history.History(tmp_path)
    lines.on_epoch_end(0, {"loss": 1.5, "val_accuracy": 0.5})
    lines.on_epoch_end(1, {"loss": 1.0, "val_accuracy": 0.75, "brier": 0.25})
    content = (tmp_path / "history.csv").read_text().split()
    assert content == ["epoch,loss,val_accuracy,brier", "0,1.5,0.5,", "1,1.0,0.75,0.25"]
    assert history.best_epoch(tmp_path) == (2, 0.75)


def test_another_number_of_threads_is_told(finished, tmp_path, before_training):
    path, whole = first_epoch_of(finished, tmp_path / "run"), tmp_path / "whole"
    shutil.copytree(finished[0], whole)
    noted = f"# threads {run_flags.threads()}"
    for flags_file in (path / "run.flags", whole / "run.flags"):
        text = flags_file.read_text()
        assert noted in text.splitlines()
        flags_file.write_text(text.replace(noted, "# threads 99"))
    said = before_training(f"--output_dir={path}")
    assert f"train.py: {path} was begun with 99 threads and continues with " in said
    assert "earlier version" not in said
    complete = said_of("train", *DIGITS, f"--output_dir={whole}")
    assert "99 threads" not in complete  # nothing is trained


def test_a_run_of_an_earlier_version_goes_on_in_todays_order(finished, tmp_path, before_training):
    """Version 0.1 noted neither itself nor the threads; the change is said once."""
    path = first_epoch_of(finished, tmp_path / "run")
    flags_file = path / "run.flags"
    lines = flags_file.read_text().splitlines(keepends=True)
    of_before = [line for line in lines if not line.startswith(("# mixmo_tf ", "# threads "))]
    assert len(of_before) == len(lines) - 2
    flags_file.write_text("".join(of_before))
    said = before_training(f"--output_dir={path}")
    assert "was begun with" not in said
    assert f"{path} was begun by an earlier version, which served the images" in said
    assert flags_file.read_text() == f"# mixmo_tf {mixmo_tf.__version__}\n" + "".join(of_before)
    said = before_training(f"--output_dir={path}")
    assert "holds 1 of 2 epochs; going on from there" in said and "earlier version" not in said


def test_a_folder_of_an_earlier_version_in_which_nothing_is_trained(
    finished, tmp_path, before_training
):
    """What trains from the first step on is in today's order, and never said to be in another."""
    path = first_epoch_of(finished, tmp_path / "run")
    shutil.rmtree(path / "checkpoints")
    (path / "history.csv").unlink()
    whole = shutil.copytree(finished[0], tmp_path / "whole")
    for run_of_before in (path, whole):
        flags_file = run_of_before / "run.flags"
        lines = flags_file.read_text().splitlines(keepends=True)
        flags_file.write_text("".join(line for line in lines if not line.startswith("# mixmo_tf")))
    before = (whole / "run.flags").read_bytes()
    endings, printed = call("train", *([*DIGITS, f"--output_dir={each}"] for each in (path, whole)))
    assert endings == [None, None] and "earlier version" not in printed
    assert (whole / "run.flags").read_bytes() == before  # it is complete
    undo_last_epoch(path)
    printed = before_training(f"--output_dir={path}")
    assert "holds 1 of 2 epochs; going on from there" in printed
    assert "earlier version" not in printed
    assert f"# mixmo_tf {mixmo_tf.__version__}" in (path / "run.flags").read_text().splitlines()


def test_threads_are_those_of_tensorflow(monkeypatch):
    """Not every system tells which cores a process may use: macOS has no such call."""
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert run_flags.threads() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert run_flags.threads() == 2
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    assert run_flags.threads() == 3
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 5)
    assert run_flags.threads() == 5
