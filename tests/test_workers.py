"""scripts/train.py in two worker processes, over loopback."""

import json
import os
import signal
import socket
import time

import forking
import keras
import numpy as np
import pytest
from scripts_at_work import DIGITS, ROOT, said_of, shallow_command

from mixmo_tf import data
from mixmo_tf.distribution import strategies
from mixmo_tf.training import checkpoints


def free_ports(count):
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_two(*flags):
    """Both workers, in the background; the first is the chief."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        workers.append(
            forking.Popen(
                shallow_command("train.py", *flags),
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
                text=True,
                stdout=forking.PIPE,
                stderr=forking.PIPE,
            )
        )
    return workers


def finish(workers):
    """Exit code, output and errors of each."""
    ended = [worker.communicate(timeout=600) for worker in workers]
    return [(worker.returncode, *texts) for worker, texts in zip(workers, ended, strict=True)]


def wait_for_checkpoint(path, workers):
    """Waits until there is a checkpoint more, and the next epoch has begun."""
    before = set(path.glob("checkpoints/step_*5.keras"))
    while set(path.glob("checkpoints/step_*5.keras")) <= before:
        assert all(worker.poll() is None for worker in workers), finish(workers)
        time.sleep(0.01)


def test_two_workers_ended_and_killed(tmp_path, shallow):
    """SIGTERM, then SIGKILL to one of them; in the end they are where two replicas get alone.

    But for rounding: the replicas' gradients come from one process there, and from two here.
    """
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    flags = [*DIGITS, "--validation_examples=101", "--mixing=linear", "--alpha=0"]
    said_of("train", *flags, f"--output_dir={quiet}", "--strategy=mirrored")

    flags += [f"--output_dir={killed}", "--checkpoint_steps=5"]
    workers = start_two(*flags)
    wait_for_checkpoint(killed, workers)
    workers[1].send_signal(signal.SIGTERM)
    chief, other = finish(workers)
    assert chief[0] == other[0] == 75 and "Traceback" not in chief[2] + other[2]
    assert "train.py: ended by SIGTERM; the same command goes on" in other[2]
    assert "train.py: ended by a signal to another worker; the same command" in chief[2]

    workers = start_two(*flags)
    wait_for_checkpoint(killed, workers)
    workers[1].kill()
    chief, other = finish(workers)
    assert chief[0] == 75 and "Traceback" not in chief[2]
    assert "train.py: another worker has ended, or cannot be reached; give all" in chief[2]
    assert not (killed / "model.keras").exists()

    chief, other = finish(start_two(*flags, "--steps_per_execution=3"))
    assert chief[0] == other[0] == 0, chief[2] + other[2]  # a worker whose weights differ fails
    assert "devices         2 CPU of 2 workers" in chief[1] and "Saved the model" in chief[1]
    assert "going on from there" in chief[1]
    waits = "Training waits until all workers of TF_CONFIG are there.\n"
    assert other[1] == f"{waits}Training with the chief, which writes {killed} on its machine.\n"
    check_every_image_is_evaluated_once(killed)
    for name in ("model.keras", "best.keras"):
        assert_close_weights(quiet / name, killed / name)
    histories = [np.loadtxt(p / "history.csv", delimiter=",", skiprows=1) for p in (quiet, killed)]
    assert histories[0].shape[0] == 2
    np.testing.assert_allclose(*histories, rtol=1e-6)  # sums of two workers, rounded anew


def assert_close_weights(file, other_file):
    models = map(keras.saving.load_model, (file, other_file))
    variables = [[*model.variables, *model.optimizer.variables] for model in models]
    for ours, theirs in zip(*variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)


def test_ctrl_c_ends_a_worker_that_waits_for_others():
    config = {"cluster": {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}}
    config["task"] = {"type": "worker", "index": 0}
    with forking.Popen(
        shallow_command("train.py", *DIGITS),
        cwd=ROOT,
        env={**os.environ, "TF_CONFIG": json.dumps(config)},
        text=True,
        stdout=forking.PIPE,
    ) as worker:
        assert (
            worker.stdout.readline() == "Training waits until all workers of TF_CONFIG are there.\n"
        )
        time.sleep(2)
        worker.send_signal(signal.SIGINT)
        assert worker.wait(timeout=10) == -signal.SIGINT


def check_every_image_is_evaluated_once(path):
    """360 test images in shares of 250 and 110: what one process finds on the same weights."""
    model = checkpoints.load_model(path)
    images, labels, _ = data.load_arrays("digits", "test")
    theirs = model.evaluate(images, labels, batch_size=360, verbose=0, return_dict=True)
    ours = json.loads((path / "metrics.json").read_text())
    assert ours["examples"] == 360
    for name in ("accuracy", "ratio_error"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-5)
    assert ours["nll"] == pytest.approx(theirs["loss"], rel=1e-5)
    both, one = model.ratio_error.error_counts()
    assert (ours["both_wrong"], ours["one_wrong"]) == (both.tolist(), one.tolist())
    assert both[0] + one[0] > 0
    members = [theirs[f"member_{i}_accuracy"] for i in range(2)]
    assert ours["member_accuracy"] == pytest.approx(members, rel=1e-5)


def test_the_cluster_of_a_slurm_job(monkeypatch):
    """Two tasks on n9, one on n10, in SLURM's order and not in that of their names."""
    step = {
        "SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_NODELIST": "n[9-10]", "SLURM_PROCID": "2",
        "SLURM_STEP_TASKS_PER_NODE": "2,1", "SLURM_JOB_ID": "31415", "SLURMD_NODENAME": "n10",
        "SLURM_LOCALID": "0",
    }  # fmt: skip
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    config = strategies.slurm_config()
    assert config["cluster"] == {"worker": ["n9:22640", "n9:22641", "n10:22640"]}
    assert config["task"] == {"type": "worker", "index": 2}
    monkeypatch.setenv("SLURM_STEP_ID", "1")
    assert strategies.slurm_config()["cluster"]["worker"][0] == "n9:22656"
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(ValueError, match="srun --distribution=block"):
        strategies.slurm_config()
    monkeypatch.setenv("SLURM_STEP_NODELIST", "r1n[1-2]-ib")
    with pytest.raises(ValueError, match="cannot read SLURM's variables .*set TF_CONFIG by hand"):
        strategies.slurm_config()
    monkeypatch.setenv("SLURM_STEP_NODELIST", "n[9-10]")
    monkeypatch.delenv("SLURM_STEP_TASKS_PER_NODE")
    with pytest.raises(ValueError, match="cannot read SLURM's variables .*TASKS_PER_NODE"):
        strategies.slurm_config()


def test_what_does_not_describe_the_workers_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="strategy must be one of auto, one_device"):
        strategies.choose("all")
    with pytest.raises(ValueError, match="multi_worker needs TF_CONFIG, or a SLURM job step"):
        strategies.choose("multi_worker")
    cluster = '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}'
    of_text = '{"cluster": {"worker": "ab"}, "task": {"type": "worker", "index": 1}}'
    server = '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}'
    negative = cluster.replace('"index": 1', '"index": -1')
    for text in ("{", "[]", '{"cluster": {}}', cluster, of_text, server, negative):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ValueError, match="TF_CONFIG must be like "):
            strategies.choose()
