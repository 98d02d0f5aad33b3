"""A suite that is interrupted, and its run: signals, and runs that were left training."""

import json
import logging
import os
import signal
import subprocess
import threading
import time

import forking
import pytest
from scripts_at_work import ROOT, ending_of, shallow_command
from suites_at_work import CONFIGS, SMALL, SMALL_FLAGS, finish

from mixmo_tf import experiments
from mixmo_tf.experiments import SuiteSettings, suite_runs


def wait_for_checkpoint(folder):
    while not list(folder.glob("checkpoints/step_*.keras")):
        time.sleep(0.05)


@pytest.fixture
def once_started():
    """Calls a function in a thread as soon as `reproduce` has started a run."""
    log, actions = logging.getLogger("mixmo_tf"), []

    class Listener(logging.Handler):
        def emit(self, record):
            if "(log: " in record.getMessage():
                threading.Thread(target=actions[0]).start()

    listener = Listener()
    log.addHandler(listener)
    yield actions.append
    log.removeHandler(listener)


def send(number):
    """Sends this process a signal; its main thread answers."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("delay", [0, 0.05, 1])
def test_a_signal_right_after_a_runs_start(tmp_path, number, delay, once_started):
    once_started(lambda: (time.sleep(delay), send(number)))
    code, said = ending_of("reproduce", f"--output_dir={tmp_path}", "--filters=2")
    assert (code, said.splitlines()[-1]) == (
        75, f"reproduce.py: ended by {number.name}; the same command goes on from there"
    )  # fmt: skip
    log = (tmp_path / "digits_plain_seed0.log").read_text().splitlines()
    ended, _, hint = log[-1].partition("; ")
    assert ended == f"train.py: ended by {number.name}"
    assert hint in ("give the command again", "the same command goes on from there")  # trains
    assert "Traceback" not in "".join(log)


def test_a_signal_that_wakes_no_call_is_answered_while_a_run_is_waited_for():
    """As where it comes to another thread, or right before the call that waits."""
    process = subprocess.Popen(["sleep", "60"])
    before = signal.signal(signal.SIGUSR1, lambda *_: process.kill())
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    elsewhere = threading.Thread(target=lambda: (unblock(signal.SIGUSR1), send(signal.SIGUSR1)))
    try:
        elsewhere.start()
        assert suite_runs._wait(process) == -signal.SIGKILL
    finally:
        elsewhere.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, before)


def unblock(number):
    """Lets this thread take the signal."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])


def test_a_signal_reaches_the_run(tmp_path, once_started, shallow, forked):
    def interrupt():
        wait_for_checkpoint(tmp_path / "digits_plain_seed0")
        send(signal.SIGINT)

    once_started(interrupt)
    flags = f"--output_dir={tmp_path}", "--filters=2", "--checkpoint_steps=1"
    assert ending_of("reproduce", *flags)[0] == 75
    log = (tmp_path / "digits_plain_seed0.log").read_text()
    assert "ended by SIGINT; the same command goes on from there" in log


def test_a_run_that_was_left_training_is_waited_for(finished, tmp_path, said, shallow):
    """SIGKILL ends reproduce.py alone; given again, it takes up what its run goes on to do."""
    metrics = json.loads((finished[0] / "metrics.json").read_text())
    for config in CONFIGS[1:]:
        finish(tmp_path, config, 0, metrics, SMALL)
    process = forking.Popen(
        shallow_command("reproduce.py", "--seeds=0", f"--output_dir={tmp_path}", *SMALL_FLAGS),
        cwd=ROOT,
    )
    folder = tmp_path / "digits_plain_seed0"
    wait_for_checkpoint(folder)
    holder = (folder / "run.lock").read_text()
    trainer = int(holder.split()[1])
    os.kill(trainer, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert not (folder / "metrics.json").exists()
    waits = f"{folder.name}: waiting for {holder}, which trains it"

    def go_on():
        while waits not in said():
            time.sleep(0.05)
        os.kill(trainer, signal.SIGCONT)

    going_on = threading.Thread(target=go_on)
    going_on.start()
    experiments.reproduce(SuiteSettings(seeds=(0,), output_dir=tmp_path, **SMALL))
    going_on.join()
    lines = [line for line in said() if line.startswith(folder.name)]
    assert lines[0] == waits
    assert lines[1].endswith("  (done by another process)")
    assert len(lines) == 2  # it was not started again
    trained = (tmp_path / "digits_plain_seed0.log").read_text()
    assert trained.count("Trained for") == 1
