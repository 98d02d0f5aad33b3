"""What `device` prints of one precision, in a process of its own; see `device.py`.

python -m mixmo_tf.experiments.benchmarks.device_table '[{"turns": 9, …}, "float32"]'
"""

import json
import statistics
import sys
from collections.abc import Iterator

import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.experiments.benchmarks import matmul
from mixmo_tf.experiments.benchmarks.device_fit import cases, time_fit
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings
from mixmo_tf.experiments.benchmarks.turns import spread

_CASE = {"network": 19, "rows": 6, "XLA": 3, "steps/exec.": 11, "method": 6}  # with their widths
_MEASURED = {"rows/s": 30, "TFLOP/s": 7, "of products": 11, "idle": 6, "start, s": 8, "GiB": 5}


def lines(settings: BenchmarkSettings, precision: str) -> Iterator[str]:
    """The lines of the table, each as soon as it is known.

    A case that cannot be computed, for one as the memory is too small, says so in its line.
    """
    tf32 = precision == "tf32"  # or float32 would be that too
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    side, turns = settings.matrix_side, settings.turns
    rates = matmul.rates(precision, side, turns)
    rate = spread([each / 1e12 for each in rates], ".2f")
    yield f"{precision}: products of matrices of {side:,} × {side:,} at {rate} TFLOP/s"
    yield _line(_CASE, _MEASURED)
    for case in cases(settings, precision):
        named = case.network, case.rows, case.xla, case.steps_per_execution, case.method
        try:
            timing = time_fit(settings, case)
        except (ValueError, tf.errors.OpError) as error:
            yield _line(named, _reason(error))
        else:
            yield _line(named, _cells(timing, statistics.median(rates)))


def _reason(error):
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return "out of memory"
    return arguments.first_line(error)


def _line(case, measured):
    """A line of the table: a case, or titles, and what is measured of it, or why nothing is."""
    named = [f"{each!s:<{width}}" for each, width in zip(case, _CASE.values(), strict=True)]
    if isinstance(measured, str):
        return "  ".join(["", *named, measured])
    cells = [f"{c:>{width}}" for c, width in zip(measured, _MEASURED.values(), strict=True)]
    return "  ".join(["", *named, *cells])


def _cells(timing, rate):
    return (
        spread(timing.rows_per_second, ",.1f"),
        f"{timing.operations_per_second / 1e12:.2f}",
        f"{100 * timing.operations_per_second / rate:.1f} %",
        "–" if timing.idle is None else f"{100 * timing.idle:.1f} %",
        f"{timing.start:.1f}",
        "–" if timing.peak_bytes is None else f"{timing.peak_bytes / 2**30:.1f}",
    )


if __name__ == "__main__":
    of_settings, asked = json.loads(sys.argv[1])
    for each in lines(BenchmarkSettings(**of_settings), asked):
        sys.stdout.write(f"{each}\n")
        sys.stdout.flush()
