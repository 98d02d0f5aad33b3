"""How much of a device's rate training reaches; made for GPUs.

A step's operations are counted by a formula (`networks.size`), of convolutions and heads alone. All
that the device can do is taken to be its rate at products of two large matrices, in the same
precision and the same process.

Each precision has a process of its own: TensorFlow keeps the kernels that it has chosen for a
convolution, so that float32 would go on with those of TensorFloat-32, or the other way round.
"""

import dataclasses
import json
import logging
import subprocess
import sys
import tempfile

import keras
import tensorflow as tf

from mixmo_tf.experiments.benchmarks import device_table
from mixmo_tf.experiments.benchmarks.device_fit import cases
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings

_log = logging.getLogger(__name__)
_SIDES = {"GPU": 8192, "CPU": 1024}  # of the matrices
_HAS_TF32 = 8, 0  # compute capability, from which on a GPU multiplies TensorFloat-32


def measure_device(settings: BenchmarkSettings) -> None:
    """Times the `fit` of each case, and logs a line of each as soon as it is done.

    Raises:
        ValueError: in the end, if a process ended in the middle of its precision.
    """
    kind, name, has_tf32 = _device()
    _log.info("%s; TensorFlow %s, Keras %s", name, tf.__version__, keras.__version__)
    precisions = [each for each in settings.precisions if each != "tf32" or has_tf32]
    if len(precisions) < len(settings.precisions):
        _log.info("tf32 is left out: this device does not compute in it")
    settings = dataclasses.replace(settings, matrix_side=settings.matrix_side or _SIDES[kind])
    _log.info(
        "%s trainings, %s turns of %s steps or of one execution, b = %s of mixmo",
        sum(len(cases(settings, each)) for each in precisions),
        settings.turns, settings.steps, settings.batch_repetitions,
    )  # fmt: skip
    faults = [fault for each in precisions if (fault := _time(settings, each))]
    if faults:
        raise ValueError("; ".join(faults))


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


def _time(settings, precision):
    """Logs what the process of a precision prints; gives what went wrong, None if nothing."""
    request = json.dumps([dataclasses.asdict(settings), precision])
    command = [sys.executable, "-m", device_table.__name__, request]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            for line in child.stdout:
                _log.info("%s", line.rstrip("\n"))
        finally:
            child.kill()  # what has ended already does not mind
            child.wait()
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if not child.returncode:
        return None
    return f"{precision} ended with exit code {child.returncode}: {said[-1] if said else ''}"
