"""What TensorFlow says of itself as it starts does not reach whoever runs a command.

Seven lines come before its log levels are read, and at every level: that there is no GPU, which
operations are on. They are written to descriptor 2, so that is where they are left out; whatever
is not known here is passed on. Python's own messages do not go this way. `ending.py` runs this
file alone, which needs only the standard library.
"""

import os
import pathlib
import re
import select
import signal
import sys

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # where users have set it, they hear what they asked for
_ALWAYS = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "oneDNN custom operations are on. You may see slightly different numerical results",
    "only on platforms with AVX-512. Falling back to the default Eigen-based implementation",
    "This TensorFlow binary is optimized to use available CPU instructions",
    "To enable the following instructions: ",
    "computation placer already registered",
    "Unable to register cuDNN factory",
    "Unable to register cuBLAS factory",
    "Unable to register cuFFT factory",
    "TF-TRT Warning: Could not find TensorRT",
    "fully_quantize: 0, inference_type: 6, input_inference_type: FLOAT32",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU",
)
_WITHOUT_A_GPU = (  # where there is one, they say what is wrong
    "Could not find cuda drivers on your machine, GPU will not be used",
    "failed call to cuInit",
)
_NVIDIA = pathlib.Path("/dev/nvidiactl")
_UNFINISHED = 0.2  # seconds until the beginning of a line is passed on


def start() -> int:
    """Leaves out what is known from descriptor 2, until the process and its children have ended.

    For the process of a script alone, before it has any thread. `sys.stderr` goes on to where it
    went.

    Returns:
        int, the descriptor that errors are written to; 2 where nothing is left out.
    """
    if os.environ.setdefault(_LEVEL, "2") != "2":
        return 2
    errors = os.dup(2)
    ours, theirs = os.pipe()
    if os.fork() == 0:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it ends when all are gone that may write
        os.dup2(ours, 0)
        os.dup2(errors, 1)
        os.closerange(2, os.sysconf("SC_OPEN_MAX"))  # nobody waits for this process to close them
        try:
            _pass_on(0, 1)
        finally:
            os._exit(0)
    os.dup2(theirs, 2)
    for number in (ours, theirs):
        os.close(number)
    sys.stderr = open(errors, "w", buffering=1, errors="backslashreplace", closefd=False)
    return errors


def is_known(line: bytes) -> bool:
    """Whether a line is one of TensorFlow's that do not matter here."""
    known = _ALWAYS if _NVIDIA.exists() else _ALWAYS + _WITHOUT_A_GPU
    return re.search("|".join(map(re.escape, known)).encode(), line) is not None


def _pass_on(source, target):
    """Writes what comes, line by line, but for what is known, until the end."""
    rest = b""
    while True:
        if rest and not select.select([source], [], [], _UNFINISHED)[0]:
            _write(target, rest)
            rest = b""
        content = os.read(source, 1 << 16)
        *lines, rest = (rest + content).splitlines(keepends=True) or [b""]
        if not content or rest.endswith(b"\n"):
            lines, rest = [*lines, rest], b""
        _write(target, b"".join(line for line in lines if not is_known(line)))
        if not content:
            return


def _write(target, content):
    while content:
        content = content[os.write(target, content) :]
