"""Runs of scripts/train.py that are killed, interrupted, run out of disk, or meet each other.

pytest tests/test_survival.py --kills=10    kills one run ten times
"""

import fcntl
import random
import resource
import shutil
import signal
import subprocess
import time

from scripts_at_work import DIGITS, ROOT, assert_same_weights, command, run


def start(*flags):
    """A run in the background; returns once training begins."""
    process = subprocess.Popen(
        command("train.py", *flags), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=-1
    )
    while not process.stdout.readline().startswith("  output"):
        assert process.poll() is None, process.stderr.read()
    return process


def first_epoch_of(finished, path):
    """A copy of the finished run as it was after its first epoch."""
    shutil.copytree(finished[0], path)
    for name in ("model.keras", "metrics.json", "checkpoints/step_00000044.keras"):
        (path / name).unlink()
    return path


def test_killed_at_random_moments(tmp_path, request):
    """SIGKILL again and again; the run ends with the weights and the history of a quiet one."""
    kills = request.config.getoption("kills")
    flags = [*DIGITS, f"--epochs={max(kills, 3)}", "--validation_examples=100"]
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    result = run("train.py", *flags, f"--output_dir={quiet}")
    assert result.returncode == 0, result.stderr
    flags += [f"--output_dir={killed}", "--checkpoint_steps=3"]
    moments = random.Random(0)
    for _ in range(kills):
        process = start(*flags)
        time.sleep(moments.uniform(0, 3))
        still_training = process.poll() is None
        process.kill()
        process.communicate()
        held = sorted(file.name for file in killed.glob("checkpoints/*"))
        print(f"killed {'in training' if still_training else 'too late'}; holds {held}")
    result = run("train.py", *flags)
    assert result.returncode == 0, result.stderr
    for name in ("model.keras", "best.keras"):
        assert_same_weights(quiet / name, killed / name)
    assert (quiet / "history.csv").read_text() == (killed / "history.csv").read_text()
    figures = [(path / "metrics.json").read_text() for path in (quiet, killed)]
    assert figures[0] == figures[1]


def test_sigterm_writes_a_checkpoint(finished, tmp_path):
    flags = [*DIGITS, f"--output_dir={tmp_path}"]
    process = start(*flags)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "train.py: ended by SIGTERM; the same command goes on from there" in errors
    assert "Traceback" not in errors
    assert list((tmp_path / "checkpoints").glob("step_*.keras"))
    result = run("train.py", *flags)
    assert result.returncode == 0, result.stderr
    assert "going on from there" in result.stdout
    assert_same_weights(finished[0] / "model.keras", tmp_path / "model.keras")


def test_a_full_disk_leaves_the_checkpoint_before(finished, tmp_path):
    path = first_epoch_of(finished, tmp_path / "full")
    checkpoint = path / "checkpoints" / "step_00000022.keras"
    before = checkpoint.read_bytes()

    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, resource.RLIM_INFINITY))

    flags = [*DIGITS, f"--output_dir={path}"]
    result = run("train.py", *flags, preexec_fn=limit_files)
    assert result.returncode == 1
    assert f"cannot write {path}/checkpoints/step_00000044.keras: File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert checkpoint.read_bytes() == before
    assert [file.name for file in (path / "checkpoints").iterdir()] == [checkpoint.name]
    result = run("train.py", *flags)
    assert result.returncode == 0, result.stderr
    assert_same_weights(finished[0] / "model.keras", path / "model.keras")


def test_a_damaged_checkpoint_is_left_for_the_one_before(finished, tmp_path):
    path = tmp_path / "damaged"
    shutil.copytree(finished[0], path)
    newest = path / "checkpoints" / "step_00000044.keras"
    newest.write_bytes(newest.read_bytes()[:5000])
    result = run("train.py", *DIGITS, f"--output_dir={path}")
    assert result.returncode == 0, result.stderr
    assert "step_00000044.keras is no readable .keras file" in result.stderr
    assert "holds 1 of 2 epochs" in result.stdout
    assert_same_weights(finished[0] / "model.keras", path / "model.keras")


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    result = run("train.py", *DIGITS, "--learning_rate=1e30", f"--output_dir={tmp_path}")
    assert result.returncode == 1
    assert "train.py: the loss became NaN or infinite at step 2; the last good" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_directory_in_use_is_refused(finished):
    path, flags, _ = finished
    with open(path / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run("train.py", *flags)
    assert result.returncode == 1
    assert f"another process is training in {path}" in result.stderr
    assert "Traceback" not in result.stderr


def test_other_images_are_refused(finished, tmp_path):
    path = first_epoch_of(finished, tmp_path / "other")
    noted = (path / "dataset.json").read_text()
    (path / "dataset.json").write_text(noted.replace('"7"', '"seven"'))
    result = run("train.py", *DIGITS, f"--output_dir={path}")
    assert result.returncode == 1
    message = "holds a run on other images (class_names: seven there, 7 here)"
    assert f"{path} {message}" in result.stderr


def test_deterministic_kernels_give_a_run_as_well(finished, tmp_path):
    flags = [*DIGITS, "--epochs=1", "--deterministic", f"--output_dir={tmp_path}"]
    result = run("train.py", *flags)
    assert result.returncode == 0, result.stderr
