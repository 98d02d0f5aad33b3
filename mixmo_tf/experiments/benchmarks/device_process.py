"""A process that measures one thing for `device.py`, on a device that nothing has used before.

python -m mixmo_tf.experiments.benchmarks.device_process '[{"turns": 9, …}, "float32", null]'
"""

import json
import sys
from collections.abc import Sequence

import tensorflow as tf

from mixmo_tf.experiments.benchmarks import matmul
from mixmo_tf.experiments.benchmarks.device_fit import Case, time_fit
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings
from mixmo_tf.models.executions import NotFiniteError


def measured(
    settings: BenchmarkSettings, precision: str, case: Sequence | None
) -> tuple[list | None, str | None]:
    """The `Timing` of a case, or of products of matrices where it is None their `matmul.rates`.

    Returns:
        (list, None), or (None, why it could not be measured, in a line).
    """
    tf32 = precision == "tf32"  # or float32 would be that too
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    try:
        if case is None:
            return matmul.rates(precision, settings.matrix_side, settings.turns), None
        return time_fit(settings, Case(*case)), None
    except tf.errors.ResourceExhaustedError:
        return None, "out of memory"
    except (ValueError, NotFiniteError, tf.errors.OpError) as error:
        return None, _reason(error)


def _reason(error):
    """What an error of TensorFlow's graphs says in its last line, behind where it came from."""
    lines = str(error).split(" [Op:")[0].splitlines()
    said = [line.strip() for line in lines if line.strip() and not line.strip().startswith("[[")]
    return said[-1] if said else type(error).__name__


if __name__ == "__main__":
    of_settings, *what = json.loads(sys.argv[1])
    sys.stdout.write(f"{json.dumps(measured(BenchmarkSettings(**of_settings), *what))}\n")
