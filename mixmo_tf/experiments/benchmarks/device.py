"""How much of a device's rate training reaches; made for GPUs.

A step's operations are counted by a formula (`networks.size`), of convolutions and heads alone. All
that the device can do is taken to be its rate at products of two large matrices, in the same
precision and the same run.
"""

import logging
import statistics

import keras
import tensorflow as tf

from mixmo_tf.experiments.benchmarks import matmul
from mixmo_tf.experiments.benchmarks.device_fit import Case, Timing, cases, time_fit
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings
from mixmo_tf.experiments.benchmarks.turns import spread

_log = logging.getLogger(__name__)
_SIDES = {"GPU": 8192, "CPU": 1024}  # of the matrices
_HAS_TF32 = 8, 0  # compute capability, from which on a GPU multiplies TensorFloat-32
_COLUMNS = {  # titles of a case's columns, and their widths
    "network": 19, "rows": 5, "precision": 14, "XLA": 3, "steps/exec.": 11, "method": 6,
}  # fmt: skip
_MEASURED = {"rows/s": 30, "TFLOP/s": 7, "of products": 11, "idle": 6, "start, s": 8, "GiB": 5}


def measure_device(settings: BenchmarkSettings) -> dict[Case, Timing]:
    """Times the `fit` of each case, and logs a line of each as soon as it is done.

    A case that cannot be computed, for one as the memory is too small, says so in its line.
    """
    kind, name, has_tf32 = _device()
    _log.info("%s; TensorFlow %s, Keras %s", name, tf.__version__, keras.__version__)
    precisions = [each for each in settings.precisions if each != "tf32" or has_tf32]
    if len(precisions) < len(settings.precisions):
        _log.info("tf32 is left out: this device does not compute in it")
    side = settings.matrix_side or _SIDES[kind]
    _log.info(
        "Products of matrices of %s × %s, %s turns:", f"{side:,}", f"{side:,}", settings.turns
    )
    peaks = matmul.rates(precisions, side, settings.turns)
    for precision, rates in peaks.items():
        _log.info("  %-15s %s TFLOP/s", precision, spread([r / 1e12 for r in rates], ".2f"))
    to_be_timed = [case for case in cases(settings) if case.precision in peaks]
    _log.info(
        "Training, %s times, b = %s of mixmo, %s turns of %s steps, or of one execution:",
        len(to_be_timed), settings.batch_repetitions, settings.turns, settings.steps,
    )  # fmt: skip
    _log.info("%s", _line(_COLUMNS, _MEASURED))
    timings = {}
    for case in to_be_timed:
        try:
            timings[case] = time_fit(settings, case)
        except (ValueError, tf.errors.OpError) as error:
            _log.info("%s", _line(case, _reason(error)))
        else:
            _log.info("%s", _line(case, _cells(timings[case], peaks[case.precision])))
    return timings


def _device():
    """Its kind, a key of `_SIDES`, what it is called, and whether it computes in TensorFloat-32."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU", "A CPU, as there is no GPU", False
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    return "GPU", details.get("device_name", "A GPU"), capability >= _HAS_TF32


def _reason(error):
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return "out of memory"
    return getattr(error, "message", None) or str(error)


def _line(case, measured):
    """A line of the table: a case, or titles, and what is measured of it, or why nothing is."""
    named = [f"{each!s:<{width}}" for each, width in zip(case, _COLUMNS.values(), strict=True)]
    if isinstance(measured, str):
        return "  ".join(["", *named, measured])
    cells = [f"{c:>{width}}" for c, width in zip(measured, _MEASURED.values(), strict=True)]
    return "  ".join(["", *named, *cells])


def _cells(timing, peak):
    return (
        spread(timing.rows_per_second, ",.1f"),
        f"{timing.operations_per_second / 1e12:.2f}",
        f"{100 * timing.operations_per_second / statistics.median(peak):.1f} %",
        "–" if timing.idle is None else f"{100 * timing.idle:.1f} %",
        f"{timing.start:.1f}",
        "–" if timing.peak_bytes is None else f"{timing.peak_bytes / 2**30:.1f}",
    )
