"""TensorFlow's lines as it starts are left out; all else reaches the user, whatever happens."""

import os
import pathlib
import subprocess
import sys

from mixmo_tf.experiments import ending, quiet

START = "import os, sys, time; sys.path.insert(0, {folder!r}); import ending\n"
KNOWN = "I0000 00:00:1.5 7 port.cc:153] oneDNN custom operations are on. You may see slightly "
KNOWN += "different numerical results due to floating-point round-off errors."


def start(body, **environment):
    """A process of a command, whose lines say what it does; without TF_CPP_MIN_LOG_LEVEL."""
    folder = str(pathlib.Path(ending.__file__).parent)  # the package takes seconds
    body = START.format(folder=folder) + f"def main():\n    {body}\nending.run(lambda: main)\n"
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | environment
    return subprocess.Popen(
        [sys.executable, "-c", body],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(body, **environment):
    """What a command writes on stderr, and its exit code."""
    process = start(body, **environment)
    _, errors = process.communicate(timeout=600)
    return errors, process.returncode


def test_tensorflow_starts_without_a_line():
    errors, code = run(
        "import tensorflow as tf; tf.config.list_physical_devices(); tf.zeros(1);"
        "os.write(2, b'from C++\\n'); print('from Python', file=sys.stderr)"
    )
    assert (sorted(errors.splitlines()), code) == (["from C++", "from Python"], 0)


def test_what_a_process_says_before_it_is_aborted_is_passed_on():
    errors, code = run(f"os.write(2, {KNOWN.encode()!r} + b'\\nCheck failed: x'); os.abort()")
    assert (errors, code) == ("Check failed: x", -6)


def test_the_beginning_of_a_line_does_not_wait_for_its_end():
    process = start("os.write(2, b'100 %'); time.sleep(600)")
    try:
        assert process.stderr.read(5) == "100 %"
    finally:
        process.kill()
        process.communicate()


def test_who_asks_tensorflow_for_its_log_gets_all_of_it():
    errors, _ = run(f"os.write(2, {KNOWN.encode()!r} + b'\\n')", TF_CPP_MIN_LOG_LEVEL="0")
    assert errors == KNOWN + "\n"


def test_what_is_wrong_with_a_gpu_is_said_where_there_is_one(monkeypatch, tmp_path):
    line = b"E0000 00:00:1.2 7 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error"
    monkeypatch.setattr(quiet, "_NVIDIA", tmp_path / "none")
    assert quiet.is_known(line)
    monkeypatch.setattr(quiet, "_NVIDIA", tmp_path)
    assert not quiet.is_known(line)
