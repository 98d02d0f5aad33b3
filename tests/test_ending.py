"""SIGTERM and Ctrl-C at any moment of any script: one line, exit code 75, nothing left behind."""

import fcntl
import pathlib
import signal
import subprocess
import sys
import threading
import time

import forking
import pytest
from scripts_at_work import ROOT, command

from mixmo_tf import evaluation
from mixmo_tf.experiments import Settings, ending, train
from mixmo_tf.training import signals

SCRIPTS = (
    "train", "evaluate", "export", "convert_checkpoint", "reproduce", "benchmark", "show_masks",
    "show_encoders", "draw_idea", "predict",
)  # fmt: skip
STAGES = [  # what a script has begun to import; all end as these two do
    *((script, None) for script in SCRIPTS),
    *((script, library) for script in SCRIPTS[:2] for library in ("numpy", "tensorflow")),
]
# Of these files alone: the package takes seconds.
FOLDERS = [str(pathlib.Path(module.__file__).parent) for module in (ending, signals)]
PIPES = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def start(script):
    """A script in the background, as soon as it answers SIGTERM."""
    process = subprocess.Popen(command(script, "--model=x"), **PIPES)
    status = pathlib.Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("the system does not show which signals a process answers")
    caught = 0
    while not caught >> signal.SIGTERM - 1 & 1:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        assert "SigCgt" in lines and process.poll() is None, process.communicate()
        caught = int(lines["SigCgt"], 16)
        time.sleep(0.001)  # or this process would take its time
    return process


def wait_for(library, process):
    """Waits until the process has loaded the first files of a library."""
    maps = pathlib.Path(f"/proc/{process.pid}/maps")
    while f"/{library}/" not in maps.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def one_line(process, errors):
    """The line of a script that ended as it should."""
    assert process.returncode == 75, errors
    assert "Traceback" not in errors
    (line,) = [line for line in errors.splitlines() if ".py: " in line]
    return line


@pytest.mark.parametrize("script, library", STAGES)
def test_a_signal_while_tensorflow_is_imported(script, library):
    number = signal.SIGINT if library else signal.SIGTERM
    process = start(f"{script}.py")
    if library:
        wait_for(library, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=600)
    expected = f"{script}.py: ended by {number.name}; give the command again"
    assert one_line(process, errors) == expected


def test_what_was_half_written_goes(finished, tmp_path):
    exported = tmp_path / "exported"
    flags = f"--model={finished[0]}", f"--output_dir={exported}", "--format=saved_model,litert"
    process = forking.Popen(command("export.py", *flags), **PIPES)
    while not list(tmp_path.iterdir()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=600)
    assert one_line(process, errors).startswith("export.py: ended by SIGTERM; ")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def script(tmp_path):
    """Starts a script of some lines in the background; it is back once that says it is ready."""
    started = []

    def start(body, says="ready\n", before=()):
        file = tmp_path / "script.py"
        lines = f"import sys, time; sys.path[:0] = {FOLDERS}; import ending, signals\n{body}"
        file.write_text(lines)
        process = subprocess.Popen([*before, sys.executable, file], **PIPES)
        started.append(process)
        assert process.stdout.read(len(says)) == says
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_signal_before_training_ends_the_process_at_once(script):
    process = script(
        "ending.exit_at_once()\n"
        "print('ready', flush=True)\n"
        "try: time.sleep(6000)\n"
        "except BaseException: print('caught')\n",
    )
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=600)
    assert (process.returncode, output) == (75, "")
    assert errors.endswith("ended by SIGTERM; give the command again\n")


SWALLOWS = """
def main():
    while True:
        try: print("ready", flush=True); time.sleep(6000)
        except KeyboardInterrupt: pass
ending._PATIENCE = {patience}
ending.run(lambda: main)
"""


def test_a_signal_that_a_library_swallows_ends_the_process_in_the_end(script):
    process = script(SWALLOWS.format(patience=1))
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "ready\n"  # swallowed
    _, errors = process.communicate(timeout=600)
    assert one_line(process, errors) == "script.py: ended by SIGTERM; give the command again"


def test_a_second_signal_does_not_wait(script):
    process = script(SWALLOWS.format(patience=6000))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert one_line(process, errors) == "script.py: ended by SIGINT; give the command again"


ENDS_SLOWLY = """
import atexit, hashlib
def wait():
    print("ready", flush=True)
    {wait}
def main():
    atexit.register(wait)  # as TensorFlow does when it is imported
    print("all is said")
    sys.exit({code})
ending.run(lambda: main, clears_up={clears_up})
"""
LIBRARY = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"  # many minutes without Python


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "wait, clears_up, code, exit_code, said",
    [
        ("time.sleep(6000)", True, 0, 0, ""),
        (LIBRARY, True, 3, 3, ""),
        (LIBRARY, False, "'it failed'", 1, "it failed\n"),
    ],
)
def test_a_signal_after_the_last_line_keeps_the_exit_code(
    script, number, wait, clears_up, code, exit_code, said
):
    body = ENDS_SLOWLY.format(wait=wait, clears_up=clears_up, code=code)
    process = script(body, says="all is said\nready\n")
    process.send_signal(number)
    assert process.wait(timeout=600) == exit_code
    assert (process.stdout.read(), process.stderr.read()) == ("", said)


def test_a_signal_while_python_ends_does_not_kill(script):
    """Where it has taken its modules apart, and calls no handler any more."""
    process = script(
        "import os\n"
        "class Slow:\n"
        "    def __del__(self, os=os, sleep=time.sleep): os.write(1, b'ready\\n'); sleep(1)\n"
        "slow = Slow()\n"
        "ending.run(lambda: lambda: None)\n",
    )
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=600) == ("", "")
    assert process.returncode == 0


CTRL_C_IN_PYTHON = """
import os, signal
signal.signal(signal.SIGINT, {before})
ending.exit_at_once() if {at_once} else None
press = lambda: os.kill(os.getpid(), signal.SIGINT)  # its handler comes before any other thread
for _ in range(10):
    with signals.StopRequest() as request:
        press()
        until = time.monotonic() + 0.05
        while time.monotonic() < until: pass
        assert request.signal == "SIGINT"
print("ready", flush=True)
with signals.StopRequest() as request:
    press()
    press()
    print("went on")
"""


@pytest.mark.parametrize(
    "before, at_once, exit_code, output",
    [
        ("signal.SIG_DFL", True, 75, ""),
        ("signal.SIG_DFL", False, -signal.SIGINT, ""),
        ("signal.SIG_IGN", False, 0, "went on\n"),
    ],
)
def test_only_a_second_ctrl_c_does_what_it_did_before(script, before, at_once, exit_code, output):
    """In Python code that never waits, where the handler comes before the thread that ends."""
    process = script(CTRL_C_IN_PYTHON.format(before=before, at_once=at_once))
    printed, errors = process.stdout.read(), process.stderr.read()
    assert (process.wait(), printed) == (exit_code, output), errors
    assert errors.count("script.py: ended by SIGINT; give the command again\n") == at_once


def test_scripts_and_package_answer_the_same_signals_with_the_same_exit_code():
    assert (ending.EXIT_CODE, ending.SIGNALS) == (signals.EXIT_CODE, signals._SIGNALS)
    assert ending.EXIT_CODE == 75


def test_a_run_that_failed_leaves_nothing_behind(tmp_path, shallow, untraced):
    """In a process that keeps the errors, with their tracebacks, as notebooks do."""
    numbers = signal.SIGTERM, signal.SIGINT

    def state():
        wakeup = signal.set_wakeup_fd(-1)
        return [*map(signal.getsignal, numbers), threading.enumerate(), wakeup]

    before, kept = state(), []
    for learning_rate in (1e30, 1e30, 0.1):  # the last meets a run with other flags
        settings = Settings(
            filters=4, epochs=2, batch_size=64, batch_repetitions=1, output_dir=tmp_path,
            learning_rate=learning_rate,
        )  # fmt: skip
        with pytest.raises((ArithmeticError, ValueError)) as failed:
            train(settings)
        kept.append(failed.value)
        assert state() == before
        with open(tmp_path / "run.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    first, second, third = map(str, kept)
    assert first == second and "the loss or a gradient became NaN or infinite at step 2" in first
    assert "holds a run with other flags (--learning_rate 1e+30 there, 0.1 here)" in third


def test_streams_that_are_closed(finished, tmp_path):
    """As after `>&-`: nothing that is written gets in their place."""
    file = tmp_path / "kept.json"
    flags = f"--model={finished[0]}", f"--json={file}"
    result = subprocess.run(
        ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command("evaluate.py", *flags)], cwd=ROOT
    )
    assert result.returncode == 0
    assert evaluation.read_metrics(file)["examples"] == 360


def test_one_stream_that_is_closed(script, tmp_path):
    file = tmp_path / "file"
    body = f"""
ending.exit_at_once()
with open({str(file)!r}, "w") as file:
    print("said", flush=True)
    print("said", file=sys.stderr)
    file.write("mine")
"""
    process = script(body, says="", before=("sh", "-c", '"$@" >&-', "sh"))
    assert process.communicate(timeout=600) == ("", "said\n") and process.returncode == 0
    assert file.read_text() == "mine"
