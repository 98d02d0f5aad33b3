"""Processes of Python that begin with the libraries imported: forks of one that has done so.

Importing TensorFlow takes three seconds of a processor. `Popen` is `subprocess.Popen` but for
that: its process is a child of this one, with a memory, streams, signals and an exit code of its
own. What it is forked from has imported and does nothing else: it has no other thread, and
TensorFlow has not begun to work in it. Who tests how a process starts, or what is read while
Python imports, takes `subprocess.Popen`; so does this one where the system is not Linux.
"""

import ctypes
import functools
import gc
import importlib
import inspect
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
from subprocess import PIPE, STDOUT, TimeoutExpired  # noqa: F401, for who takes this for `subprocess`

import numpy as np
import threadpoolctl

IMPORTED = """
    keras mixmo_tf.experiments mixmo_tf.experiments.command_line pytest scipy.optimize
    shallow_network sklearn.datasets sklearn.linear_model tensorflow
""".split()
_SUBREAPER = 36  # of prctl: whose parent has ended becomes a child of this process
_BYTES = 1 << 17  # a request, which is one message, is shorter


class _Popen(subprocess.Popen):
    """Its command is `[sys.executable, script, …]`, or has -c and a program, -m and a module."""

    def _execute_child(self, *arguments):
        given = inspect.signature(super()._execute_child).bind(*arguments).arguments
        python, *argv = map(str, given["args"])
        assert python == sys.executable and not given["shell"], given["args"]
        request = {
            "argv": argv,
            "cwd": os.fspath(given["cwd"] or os.getcwd()),
            "environment": dict(os.environ if given["env"] is None else given["env"]),
            "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "session": given["start_new_session"],
        }
        pipes = [given[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if pipe == -1 else pipe for number, pipe in enumerate(pipes)]
        self.pid = _fork(request, streams)
        self._child_created = True
        ends = "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"
        self._close_pipe_fds(*(given[name] for name in ends))


Popen = _Popen if sys.platform == "linux" else subprocess.Popen


def run(command, capture_output=False, **options):
    """As `subprocess.run`, for a command of Python."""
    streams = {"stdout": PIPE, "stderr": PIPE} if capture_output else {}
    with Popen(command, **streams, **options) as process:
        printed, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, printed, errors)


def _fork(request, streams):
    """The process id of a new child of this process, which has begun with the request."""
    requests, adopt = _parent()
    adopt(1)
    try:
        socket.send_fds(requests, [json.dumps(request).encode()], streams)
        return int(requests.recv(_BYTES))
    finally:
        adopt(0)


@functools.cache
def _parent():
    """Starts the process that has imported; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        env={**os.environ, **one_thread},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    assert ours.recv(_BYTES) == b"imported"
    return ours, functools.partial(ctypes.CDLL(None).prctl, _SUBREAPER)


def _serve(requests):
    """Forks a process for each request, where it returns the request; ends after the last."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)  # as in the tests' own processes
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])  # for its children
    requests.send(b"imported")
    while True:
        content, streams, _, _ = socket.recv_fds(requests, _BYTES, 3)
        if not content:
            sys.exit()
        assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked"
        ours, theirs = os.pipe()
        between = os.fork()
        if between == 0:  # its child is an orphan at once, whom the tests' process adopts
            parent, child = os.getpid(), os.fork()
            if child == 0:
                for each in requests.fileno(), ours, theirs:
                    os.close(each)
                while os.getppid() == parent:
                    os.sched_yield()
                return json.loads(content), streams
            os.write(theirs, str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)
        requests.send(os.read(ours, 100))
        for each in ours, theirs, *streams:
            os.close(each)


def _begin(request, streams):
    """Makes this process, which has just been forked, what the request says, and runs it."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if request["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    np.random.seed()  # noqa: NPY002, else all would draw the same; Python sees to its own
    threads = os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))
    threadpoolctl.threadpool_limits(int(threads))  # as in a process that begins as usual
    script, *_ = sys.argv = request["argv"]
    if script == "-c":
        program = sys.argv.pop(1)
        sys.path[0] = ""
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    elif script == "-m":
        module = sys.argv.pop(1)
        sys.path[0] = os.getcwd()
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(pathlib.Path(script).resolve().parent)
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    _begin(*_serve(socket.socket(fileno=int(sys.argv[1]))))
