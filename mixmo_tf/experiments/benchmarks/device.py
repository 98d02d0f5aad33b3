"""How much of a device's rate training reaches; made for GPUs.

A step's operations are counted by a formula (`networks.size`), of convolutions and heads alone. All
that the device can do is taken to be its rate at products of two large matrices, in the same
precision.

Each training has a process of its own. TensorFlow keeps the kernels that it has chosen for a
convolution, so that float32 would go on with those of TensorFloat-32, and only the first of several
trainings would have to wait for the choice. Nor does one leave memory, or an error, to the next.
"""

import dataclasses
import json
import logging
import statistics
import subprocess
import sys
import tempfile

import keras
import tensorflow as tf

from mixmo_tf.experiments.benchmarks import device_process
from mixmo_tf.experiments.benchmarks.device_fit import Timing, cases
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings
from mixmo_tf.experiments.benchmarks.turns import spread

_log = logging.getLogger(__name__)
_SIDES = {"GPU": 8192, "CPU": 1024}  # of the matrices
_HAS_TF32 = 8, 0  # compute capability, from which on a GPU multiplies TensorFloat-32
_CASE = {  # titles of the columns that say what is trained, and their widths
    "network": 19, "rows": 6, "XLA": 3, "steps/exec.": 11, "method": 6,
}  # fmt: skip
_MEASURED = {"rows/s": 30, "TFLOP/s": 7, "of products": 11, "idle": 6, "start, s": 8, "GiB": 5}


def measure_device(settings: BenchmarkSettings) -> None:
    """Times the `fit` of each case, and logs a line of each as soon as it is done.

    A case that cannot be computed, for example because the memory is too small, says so in its
    line.
    """
    kind, name, has_tf32 = _device()
    _log.info("%s; TensorFlow %s, Keras %s", name, tf.__version__, keras.__version__)
    asked = dict.fromkeys(settings.precisions)
    precisions = [each for each in asked if each != "tf32" or has_tf32]
    if len(precisions) < len(asked):
        _log.info("tf32 is left out: this device does not compute in it")
    settings = dataclasses.replace(settings, matrix_side=settings.matrix_side or _SIDES[kind])
    _log.info(
        "Trainings: %s; turns: %s; steps per turn: %s, rounded up to whole executions; b of mixmo: "
        "%s",
        sum(len(cases(settings, each)) for each in precisions),
        settings.turns, settings.steps, settings.batch_repetitions,
    )  # fmt: skip
    for precision in precisions:
        _measure_precision(settings, precision)


def _device():
    """Its kind, a key of `_SIDES`, what it is called, and whether it computes in TensorFloat-32.

    Asked without using it: this process is to leave its memory to those that compute.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU", "A CPU, as there is no GPU", False
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    return "GPU", details.get("device_name", "A GPU"), capability >= _HAS_TF32


def _measure_precision(settings, precision):
    """Logs the table of a precision."""
    products, fault = _in_process(settings, precision, None)
    rate = statistics.median(products) if products else None
    said = fault or f"{spread([each / 1e12 for each in products], '.2f')} TFLOP/s"
    side = f"{settings.matrix_side:,}"
    _log.info("%s: products of matrices of %s × %s: %s", precision, side, side, said)
    _log.info("%s", _line(_CASE, _MEASURED))
    for case in cases(settings, precision):
        named = case.network, case.rows, case.xla, case.steps_per_execution, case.method
        timing, fault = _in_process(settings, precision, case)
        _log.info("%s", _line(named, fault or _cells(Timing(*timing), rate)))


def _in_process(settings, precision, case):
    """What `device_process.measured` gives in a process of its own, and None; or None and why not.

    The process prints it in its last line.
    """
    request = json.dumps([dataclasses.asdict(settings), precision, case])
    command = [sys.executable, "-m", device_process.__name__, request]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        child = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        if not child.returncode:
            return json.loads(child.stdout.splitlines()[-1])
        errors.seek(0)
        said = errors.read().strip().splitlines() or [""]
    return None, f"ended with exit code {child.returncode}: {said[-1]}"


def _line(case, measured):
    """A line of the table: a case, or titles, and what is measured of it, or why nothing is."""
    named = [f"{each!s:<{width}}" for each, width in zip(case, _CASE.values(), strict=True)]
    if isinstance(measured, str):
        return "  ".join(["", *named, measured])
    cells = [f"{c:>{width}}" for c, width in zip(measured, _MEASURED.values(), strict=True)]
    return "  ".join(["", *named, *cells])


def _cells(timing, rate):
    operations = timing.operations_per_second
    return (
        spread(timing.rows_per_second, ",.1f"),
        f"{operations / 1e12:.2f}",
        f"{100 * operations / rate:.1f} %" if rate else "–",
        "–" if timing.idle is None else f"{100 * timing.idle:.1f} %",
        f"{timing.start:.1f}",
        "–" if timing.peak_bytes is None else f"{timing.peak_bytes / 2**30:.1f}",
    )
