"""What `device` times: one `fit`, in one precision, with XLA or without."""

import contextlib
import itertools
import math
import statistics
import time
from typing import NamedTuple

import keras
import tensorflow as tf

from mixmo_tf import data
from mixmo_tf.experiments.benchmarks import idle
from mixmo_tf.experiments.benchmarks.loops import (
    augmented_batches,
    compiled_keras,
    compiled_mixmo,
    random_examples,
)
from mixmo_tf.experiments.benchmarks.settings import DEVICE_NETWORKS, BenchmarkSettings
from mixmo_tf.networks import NETWORKS, set_precision, size

_IMAGES = 5_000


class Case(NamedTuple):
    """A `fit` that is timed."""

    network: str  # one of DEVICE_NETWORKS
    rows: int  # of a step
    precision: str
    xla: str  # "off" or "on"
    steps_per_execution: int
    method: str  # "mixmo", "plain", "keras"


class Timing(NamedTuple):
    """What was measured of a case."""

    rows_per_second: list[float]  # of each turn
    operations_per_second: float  # median, by the formula of `networks.size`
    start: float  # seconds that the first turn took beyond another: tracing and compiling
    peak_bytes: int | None  # of the GPU's memory; None without one
    idle: float | None  # share of the time in which the GPU did nothing; None where not known


def cases(settings: BenchmarkSettings, precision: str) -> list[Case]:
    """All that the settings name, once; those that are to be compared follow each other."""
    named = [
        Case(network, rows, precision, xla, steps, method)
        for network, rows, xla, steps, method in itertools.product(
            settings.networks,
            settings.row_counts,
            settings.xla,
            settings.steps_per_execution,
            settings.methods,
        )
    ]
    return list(dict.fromkeys(named))


def time_fit(settings: BenchmarkSettings, case: Case) -> Timing:
    """Times one `fit`: an epoch is a turn of `settings.steps`, in whole executions.

    Raises:
        ValueError: if a step on so many rows does not fit into the machine's memory.
        tf.errors.OpError: if TensorFlow cannot compute it.
        NotFiniteError: if the loss becomes NaN or infinite.
    """
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    name, sizes, image_shape, num_classes = DEVICE_NETWORKS[case.network]
    num_members = 2 if case.method == "mixmo" else 1
    sizes = {
        **sizes,
        "num_members": num_members,
        "num_classes": num_classes,
        "image_shape": image_shape,
    }
    kernels = NETWORKS[name].kernels(**sizes)
    size.check_step("a step", size.BYTES * case.rows * size.activations(kernels))
    network = NETWORKS[name].build(**sizes)
    if case.precision.startswith("mixed_"):
        set_precision(network, case.precision)
    options = {
        "jit_compile": case.xla == "on",
        "steps_per_execution": case.steps_per_execution,
    }
    examples = random_examples(max(_IMAGES, case.rows), image_shape, num_classes)
    if case.method == "keras":
        model = compiled_keras(network, **options)
        batches = augmented_batches(*examples, case.rows)
    else:
        repetitions = settings.batch_repetitions if case.method == "mixmo" else 1
        model = compiled_mixmo(network, repetitions, **options)
        batches = data.training_batches(examples, case.rows // repetitions, seed=0)
    per_execution = case.steps_per_execution
    steps = per_execution * math.ceil(settings.steps / per_execution)
    seconds, idle_share = _fit(model, batches, steps, settings.turns, is_traced=has_gpu)
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] if has_gpu else None
    first, *others = seconds
    rates = [case.rows * steps / turn for turn in others]
    operations = size.TRAINING * size.operations(kernels)
    return Timing(
        rates,
        operations * statistics.median(rates),
        first - statistics.median(others),
        peak,
        idle_share,
    )


def _fit(model, batches, steps, turns, is_traced):
    """Seconds of the first epoch and of `turns` more, and the idle share of a last one."""
    clock = _Clock(turns + 1 if is_traced else None)
    model.fit(
        batches,
        epochs=1 + turns + is_traced,
        steps_per_epoch=steps,
        verbose=0,
        shuffle=False,  # of what is a stream; Keras would warn
        callbacks=[clock],
    )
    return clock.seconds, clock.idle


class _Clock(keras.callbacks.Callback):
    """How long epochs take; it has nothing to do after a step, where it would be waited for.

    A trace that fails leaves what was timed before it.
    """

    def __init__(self, traced_epoch):
        super().__init__()
        self.seconds, self.idle = [], None
        self._traced_epoch = traced_epoch
        self._trace = self._start = None

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._traced_epoch:
            with contextlib.suppress(tf.errors.OpError):
                self._trace = idle.start()
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        if epoch != self._traced_epoch:
            self.seconds.append(time.perf_counter() - self._start)
        elif self._trace:
            with contextlib.suppress(tf.errors.OpError):
                self.idle = idle.idle_share(idle.stop(self._trace))
