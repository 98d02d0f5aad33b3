"""A forked process is one of its own, and calculates what any other does."""

import hashlib
import json
import os
import signal
import subprocess
import sys

import forking
import pytest
import threadpoolctl

SAYS = """
import json, os, signal, sys, threading
import numpy as np
handlers = [signal.getsignal(n) == h for n, h in (
    (signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))]
print(json.dumps([os.getpid(), os.getppid(), os.getsid(0) == os.getpid(), os.getcwd(), sys.argv,
    dict(os.environ), handlers, np.random.random(), __name__]))
print("errors", file=sys.stderr)
sys.exit(3)
"""


def said_by(*arguments):
    return forking.run([sys.executable, *arguments], capture_output=True, text=True)


def test_it_has_what_it_was_given(tmp_path):
    command = [sys.executable, "-c", SAYS, "--flag"]
    drawn = []
    for session in (False, True):
        options = {"cwd": tmp_path, "env": {"NAME": "value"}, "start_new_session": session}
        with forking.Popen(command, stdout=-1, stderr=-1, text=True, **options) as process:
            printed, errors = process.communicate()
        assert (process.returncode, errors) == (3, "errors\n")
        number, *others, random, name = json.loads(printed)
        expected = [session, str(tmp_path), ["-c", "--flag"], {"NAME": "value"}, [True, True]]
        assert (number, others, name) == (process.pid, [os.getpid(), *expected], "__main__")
        drawn.append(random)
    assert drawn[0] != drawn[1]


def test_a_script_knows_its_folder_and_goes_on_without_its_parent(tmp_path):
    (tmp_path / "beside.py").write_text("NAME = 'beside'\n")
    script = tmp_path / "script.py"
    script.write_text("import beside, sys\nprint(beside.NAME, __file__, sys.argv[1:])\n")
    result = said_by(script, 1)
    assert result.stdout == f"beside {script} ['1']\n", result.stderr
    script.write_text("if __name__ == '__main__': print(1 / 0)\n")
    result = said_by(script)
    assert result.returncode == 1
    assert result.stderr.endswith("\nZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_as_any_other(number):
    program = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)"
    for popen in (subprocess.Popen, forking.Popen):
        with popen([sys.executable, "-c", program], stdout=-1, stderr=-1, text=True) as process:
            assert process.stdout.readline() == "ready\n" and process.poll() is None
            process.send_signal(number)
            _, errors = process.communicate()
        assert process.returncode == -number
        assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)


def test_a_blocked_signal_waits():
    program = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        printed = said_by("-c", program).stdout
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert printed == "{<Signals.SIGTERM: 15>}\n"


CALCULATES = """
import hashlib, tensorflow as tf, numpy as np
found = hashlib.sha256()
a, b = tf.random.stateless_normal((2, 300, 300), (1, 2))
filters = tf.random.stateless_normal((3, 3, 3, 8), (3, 4))
images = tf.random.stateless_normal((16, 30, 30, 3), (5, 6))
for array in (a @ b, tf.nn.conv2d(images, filters, 1, "SAME"), np.dot(a.numpy(), b.numpy()),
              np.linalg.svd(a.numpy())[1], tf.reduce_logsumexp(a)):
    found.update(np.asarray(array).tobytes())
"""
THREADS = "{pool['filepath']: pool['num_threads'] for pool in threadpoolctl.threadpool_info()}"


def test_its_numbers_are_those_of_this_process():
    """Which began as any other does: bit for bit, with as many threads."""
    here = {"hashlib": hashlib}
    exec(CALCULATES, here)
    expected = here["found"].hexdigest(), eval(THREADS, {"threadpoolctl": threadpoolctl})
    program = f"import threadpoolctl, json\n{CALCULATES}"
    program += f"print(json.dumps([found.hexdigest(), {THREADS}]))"
    result = said_by("-c", program)
    found, pools = json.loads(result.stdout)
    assert found == expected[0], result.stderr
    assert pools and pools.items() <= expected[1].items()
