"""Runs of scripts/train.py that are killed, interrupted, run out of disk, or meet each other.

pytest tests/test_survival.py --kills=10    kills one run ten times
"""

import csv
import fcntl
import os
import pathlib
import platform
import random
import re
import shutil
import signal
import sys
import threading
import time

import forking
import pytest
from scripts_at_work import (
    DIGITS,
    ROOT,
    assert_same_weights,
    command,
    ending_of,
    full_disk,
    refusal,
    said_of,
    shallow_command,
)
from shared_fixtures import first_epoch_of
from tensorflow.python.framework import config

from mixmo_tf.experiments import directory, run_lock


def start(command_line):
    """A run in the background; returns once training begins."""
    process = forking.Popen(command_line, cwd=ROOT, text=True, stdout=-1, stderr=-1)
    while not process.stdout.readline().startswith("  output"):
        assert process.poll() is None, process.stderr.read()
    return process


def wait_for_checkpoints(path, count, process):
    """Waits until the run has written `count` checkpoints more."""
    seen, before = set(), set(path.glob("checkpoints/step_*"))
    while len(seen - before) < count:
        assert process.poll() is None, process.stderr.read()
        seen |= set(path.glob("checkpoints/step_*"))
        time.sleep(0.01)


def test_ended_and_killed_at_random_moments(tmp_path, request):
    """SIGTERM, then SIGKILL again and again; the run ends with what a quiet one ends with.

    They are its weights, and the lines of its history. It is ended in processes of its own, and
    goes on in another than it began in. More kills than one are those of the real network.
    An epoch has 20 steps; a process is ended after 12 at most, and what 0.2 seconds bring.
    """
    kills, command_line = request.config.getoption("kills"), command
    if kills == 1:
        request.getfixturevalue("shallow")
        command_line = shallow_command
    flags = [*DIGITS, f"--epochs={1 + 2 * kills}", "--validation_examples=100"]
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    said_of("train", *flags, f"--output_dir={quiet}")
    flags.append(f"--output_dir={killed}")
    moments = random.Random(0)
    for number in (signal.SIGTERM, *[signal.SIGKILL] * kills):
        process = start(command_line("train.py", *flags, "--checkpoint_steps=3"))
        least = number == signal.SIGTERM  # answered so once it trains
        wait_for_checkpoints(killed, moments.randrange(least, 5), process)
        time.sleep(moments.uniform(0, 0.2))
        process.send_signal(number)
        _, errors = process.communicate(timeout=600)
        if number == signal.SIGTERM:
            assert_ended_by(number, process.returncode, errors)
        else:
            assert process.returncode == -number
        held = sorted(file.name for file in killed.glob("checkpoints/*"))
        print(f"ended; checkpoints holds {', '.join(held) or 'nothing'}")
    assert held
    assert "going on from there" in said_of("train", *flags)
    for name in ("model.keras", "best.keras"):
        assert_same_weights(quiet / name, killed / name)
    assert (quiet / "history.csv").read_text() == (killed / "history.csv").read_text()
    metrics = [(path / "metrics.json").read_text() for path in (quiet, killed)]
    assert metrics[0] == metrics[1]


def assert_ended_by(number, exit_code, errors):
    """That train.py says so, and that the same command would go on."""
    ended = f"train.py: ended by {signal.Signals(number).name}; the same command goes on from there"
    assert exit_code == 75 and errors.splitlines()[-1] == ended, errors
    assert "Traceback" not in errors


def test_ctrl_c_writes_a_checkpoint_of_its_step(tmp_path):
    """Not at one that is written in any case: each 120, and the 718 of an epoch."""
    flags = [*DIGITS, "--batch_size=2", "--checkpoint_steps=120", "--epochs=40"]
    process = start(shallow_command("train.py", *flags, f"--output_dir={tmp_path}"))
    wait_for_checkpoints(tmp_path, 1, process)
    time.sleep(0.1)  # some steps
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert_ended_by(signal.SIGINT, process.returncode, errors)
    steps = [int(re.findall(r"\d+", file.name)[0]) for file in tmp_path.glob("checkpoints/*")]
    assert max(steps) > 120 and max(steps) % 120 and max(steps) % 718


LONG_EXECUTION = """
import os, sys
sys.path.insert(0, "mixmo_tf/experiments")
import ending
ending.exit_at_once()
import tensorflow as tf
from mixmo_tf.training import signals

@tf.function
def execute():
    def body(i):
        if_first = lambda: tf.print("executes", output_stream=sys.stderr)
        tf.cond(i == 0, if_first, tf.no_op)
        return i + 1
    return tf.while_loop(lambda i: i < 10**9, body, [tf.constant(0)], parallel_iterations=1)

with signals.StopRequest():
    execute()
print("executed")
"""


def processor_seconds(process):
    """What a running process has used."""
    *_, state = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")
    state = state.split()
    assert state[0] != "Z", process.stderr.read()
    return (int(state[11]) + int(state[12])) / os.sysconf("SC_CLK_TCK")


def test_a_second_ctrl_c_ends_an_execution_at_once():
    """In the middle of one that takes many minutes, where Python does not come to a handler."""
    process = forking.Popen(
        [sys.executable, "-c", LONG_EXECUTION], cwd=ROOT, text=True, stdout=-1, stderr=-1
    )
    while process.stderr.readline() != "executes\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    until = processor_seconds(process) + 0.5
    while processor_seconds(process) < until:  # it goes on executing
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=600) == 75
    assert process.stderr.read() == "-c: ended by SIGINT; give the command again\n"
    assert process.stdout.read() == ""


@pytest.mark.usefixtures("kept_models")
def test_a_damaged_checkpoint_and_a_full_disk(finished, tmp_path):
    """The damaged one is left for the one before, and that survives a disk that is full."""
    path = first_epoch_of(finished, tmp_path / "full")
    good, damaged = (path / "checkpoints" / f"step_000000{step}.keras" for step in (22, 44))
    before = good.read_bytes()
    damaged.write_bytes((finished[0] / "model.keras").read_bytes()[:5000])
    flags = [*DIGITS, f"--output_dir={path}"]
    with (
        full_disk(len(before) // 2),
        pytest.warns(UserWarning, match="step_00000044.keras is not a readable .keras file"),
    ):
        ending, said = ending_of("train", *flags)
    assert ending == f"train.py: cannot write {damaged}: File too large"
    assert "holds 1 of 2 epochs" in said
    assert good.read_bytes() == before
    assert sorted((path / "checkpoints").iterdir()) == [good, damaged]
    with pytest.warns(UserWarning, match="step_00000044.keras is not a readable .keras file"):
        said_of("train", *flags)
    assert_same_weights(finished[0] / "model.keras", path / "model.keras")


@pytest.mark.usefixtures("shallow", "untraced")
def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    ending, _ = ending_of("train", *DIGITS, "--learning_rate=1e30", f"--output_dir={tmp_path}")
    said = "train.py: the loss or a gradient became NaN or infinite at step 2; there is no checkpo"
    assert ending.startswith(said) and "\n" not in ending
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.usefixtures("kept_models")
def test_a_directory_in_use_is_refused(finished):
    path, flags, _ = finished
    with open(path / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("pid 4711 on node-3")
        lock.flush()
        ending = refusal("train", *flags)
    said = f"train.py: another process is training in {path} (pid 4711 on node-3)"
    assert ending.startswith(said)


def test_one_who_looks_whether_a_directory_is_in_use_does_not_use_it(tmp_path):
    """As `run_lock.trainer` does, for a moment; who trains there is refused."""
    with open(tmp_path / "run.lock", "w+") as looking:
        looking.write("pid 4711 on node-3")  # which is gone
        looking.flush()
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        with directory.start(tmp_path, [], {}):
            holder = f"pid {os.getpid()} on {platform.node()}"
            assert run_lock.trainer(tmp_path) == holder
            with pytest.raises(BlockingIOError, match="this process is training in"):
                directory.start(tmp_path, [], {})
    assert run_lock.trainer(tmp_path) is None


@pytest.mark.usefixtures("kept_models")
def test_what_cannot_be_gone_on_with_is_refused(finished, tmp_path):
    """Each run is a copy of the finished one, with something changed; nothing is overwritten."""

    def copy(name, *removed, **edited):
        path = tmp_path / name
        shutil.copytree(finished[0], path)
        for file in removed:
            (shutil.rmtree if (path / file).is_dir() else os.remove)(path / file)
        for file, (old, new) in edited.items():
            file = path / file.replace("_", ".")
            assert old in file.read_text()
            file.write_text(file.read_text().replace(old, new))
        return path

    cases = [
        (
            copy("classes", dataset_json=('"7"', '"seven"')),
            "holds a run on other images (class_names: seven there, 7 here)",
        ),
        (
            copy("images", dataset_json=('test images": 360', 'test images": 361')),
            "holds a run on other images (test images: 361 there, 360 here)",
        ),
        (
            copy("names", dataset_json=('train names": "', 'train names": "0')),
            "holds a run on other images (train names: not the same)",
        ),
        (copy("note", dataset_json=("[", "")), "dataset.json is damaged"),
        (
            copy("network", run_flags=("--filters=4", "--filters=8")),
            "network/checkpoints: it has another layer encoder_0: [(3, 3, 3, 4)] there, "
            "[(3, 3, 3, 8)] here",
        ),
        (
            copy("checkpoints", "checkpoints"),
            "holds model.keras, metrics.json, history.csv but no checkpoint to go on from",
        ),
        (
            copy("history", "history.csv"),
            "history.csv lacks some of the 1 epochs that are done",
        ),
    ]
    calls = [[*DIGITS, f"--output_dir={path}"] for path, _ in cases]
    calls[4] += ["--filters=8"]
    before = [sorted(path.rglob("*.*")) for path, _ in cases]
    for flags, (path, message) in zip(calls, cases, strict=True):
        ending = refusal("train", *flags)
        assert str(path) in ending and message in ending
    assert [sorted(path.rglob("*.*")) for path, _ in cases] == before


@pytest.mark.usefixtures("kept_models")
def test_only_a_runs_own_partial_files_are_removed(finished, tmp_path):
    path = shutil.copytree(finished[0], tmp_path / "run")
    own = [path / "partial-model.keras", path / "checkpoints" / "partial-step_00000050.keras"]
    others = [path / "partial-results.csv", path / "mine" / "partial-model.keras"]
    (path / "mine").mkdir()
    for file in own + others:
        file.write_text("half")
    said_of("train", *DIGITS, f"--output_dir={path}")
    assert not any(file.exists() for file in own) and all(file.exists() for file in others)


@pytest.mark.usefixtures("shallow")
def test_deterministic_kernels_give_a_run_as_well(finished, tmp_path):
    """With the draws of any other run, so with its losses but for rounding."""
    assert not config.is_op_determinism_enabled()
    try:
        said_of("train", *DIGITS, f"--output_dir={tmp_path}", "--deterministic")
        assert config.is_op_determinism_enabled()
    finally:
        config.disable_op_determinism()
    losses = []
    for path in (finished[0], tmp_path):
        with open(path / "history.csv", newline="") as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert len(losses[0]) == 2
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
