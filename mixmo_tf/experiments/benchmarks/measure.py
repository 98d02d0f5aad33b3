"""What benchmark.py measures, a function each; they log what came out.

Rates differ from machine to machine and from minute to minute: compare only numbers of one
run. The loops take turns, and a ratio is the median over the turns, with the least and the
largest in brackets. On a CPU that others use too, processor seconds are the steadier measure.
"""

import contextlib
import logging
import tempfile
import time

import tensorflow as tf

from mixmo_tf import data, masks, ratios
from mixmo_tf.distribution import strategies
from mixmo_tf.experiments.benchmarks.device import measure_device
from mixmo_tf.experiments.benchmarks.inference_loops import cost, inference_models, prediction_loop
from mixmo_tf.experiments.benchmarks.latency import measure_latency
from mixmo_tf.experiments.benchmarks.loops import (
    folder_loop,
    imagenet_records,
    jpeg_folder,
    mixmo_loop,
    plain_loop,
    random_cifar10,
)
from mixmo_tf.experiments.benchmarks.settings import SCALING, BenchmarkSettings
from mixmo_tf.experiments.benchmarks.turns import ratio_lines, spread, take_turns

_log = logging.getLogger(__name__)


def measure(name: str, settings: BenchmarkSettings) -> None:
    """What is called so in `BENCHMARKS`.

    Raises:
        ValueError: if the settings have a model, and it is for none, or rows that are no multiple
            of b.
    """
    if settings.model and name != "inference":
        raise ValueError(f"model is for inference, not for {name}")
    repeats = name != "device" or "mixmo" in settings.methods
    for rows in settings.row_counts if name == "device" else [settings.rows]:
        if repeats and rows % settings.batch_repetitions:
            raise ValueError(f"rows must be a multiple of b, got {rows}")
    BENCHMARKS[name](settings)


def measure_train(settings: BenchmarkSettings) -> None:
    """Rows/s of the loops, and the ratios of the first to the others."""
    images, labels = random_cifar10(5_000)
    loops = {}
    if settings.today:
        loops["MixMo, of today"] = mixmo_loop(settings, images, labels, with_today=True)
    loops |= {
        "MixMo": mixmo_loop(settings, images, labels),
        "plain Keras": plain_loop(settings, images, labels, fused_batch_norm=False),
        "plain Keras, our BN": plain_loop(settings, images, labels, fused_batch_norm=True),
    }
    wall, processor = take_turns(loops, settings.turns)
    _say(
        f"WRN-{settings.depth}-{settings.width}, {settings.rows} rows per step, "
        f"XLA {'on' if settings.jit_compile else 'off'}, "
        f"{settings.turns} turns of {settings.steps} steps"
    )
    rows = settings.steps * settings.rows
    for name in loops:
        _say(f"  {name:<20} {spread([rows / seconds for seconds in wall[name]], '.0f')} rows/s")
    _say("\n".join(ratio_lines(wall, processor)))


def measure_scaling(settings: BenchmarkSettings) -> None:
    """Rows/s of MixMo's `fit`, changed in one respect at a time."""
    devices = _scaling_devices()
    one = tf.distribute.OneDeviceStrategy(devices[0])
    arrays = random_cifar10(5_000)
    loops = {"float32": mixmo_loop(settings, *arrays, strategy=one)}
    for name in settings.settings:
        strategy = one
        if name == "two_replicas":
            if len(devices) < 2:
                continue
            strategy = strategies.mirrored(devices[:2])
        loops[name] = mixmo_loop(settings, *arrays, strategy=strategy, **SCALING[name])
    wall, _ = take_turns(loops, settings.turns)
    _say(
        f"WRN-{settings.depth}-{settings.width}, {settings.rows} rows per step, {devices[0]}, "
        f"{settings.turns} turns of {settings.steps} steps"
    )
    first = wall["float32"]
    for name, seconds in wall.items():
        rates = [settings.steps * settings.rows / turn for turn in seconds]
        times = [ours / theirs for ours, theirs in zip(first, seconds, strict=True)]
        _say(f"  {name:<24} {spread(rates, '.1f')} rows/s, {spread(times, '.2f')} times the first")


def _scaling_devices():
    """The names of the GPUs; without any, of two logical CPUs on this one."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        (cpu,) = tf.config.list_physical_devices("CPU")
        two = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        with contextlib.suppress(RuntimeError):  # a process that has computed keeps what it has
            tf.config.set_logical_device_configuration(cpu, two)
    return [device.name for device in tf.config.list_logical_devices("GPU" if gpus else "CPU")]


def measure_input(settings: BenchmarkSettings) -> None:
    """Images/s of each kind of stream: from memory, from files, and ImageNet's crops."""
    _say(f"Training streams, {settings.rows} images per batch")
    batches = data.training_batches(random_cifar10(50_000), settings.rows, seed=0)
    rates = _stream_rates(settings, batches, num_batches=1000)
    _say(f"  memory, 50,000 of 32×32×3    {spread(rates, ',.0f')} images/s")
    with tempfile.TemporaryDirectory() as folder:
        rates = _stream_rates(
            settings, jpeg_folder(settings, folder).training_batches(settings.rows, seed=0), 100
        )
    _say(f"  JPEGs, {settings.images:,} of 64×64×3     {spread(rates, ',.0f')} images/s")
    rates = _stream_rates(
        settings, imagenet_records(500).training_batches(settings.rows, seed=0), 10
    )
    _say(f"  crops of 224×224 of ImageNet {spread(rates, ',.0f')} images/s")


def _stream_rates(settings, batches, num_batches):
    """Images/s of each turn, `num_batches` a turn."""
    batches, rates = iter(batches), []
    for turn in range(settings.turns + 1):
        start = time.perf_counter()
        for _ in range(num_batches):
            next(batches)
        if turn > 0:
            rates.append(num_batches * settings.rows / (time.perf_counter() - start))
    return rates


def measure_folder(settings: BenchmarkSettings) -> None:
    """Rows/s of MixMo's `fit` on a folder of JPEGs and on the same images in memory."""
    with tempfile.TemporaryDirectory() as folder:
        on_disk = jpeg_folder(settings, folder)
        loops = {
            "folder": folder_loop(settings, on_disk),
            "memory": folder_loop(settings, on_disk.in_memory()),
        }
        wall, processor = take_turns(loops, settings.turns)
    rows = settings.steps * settings.rows
    _say(
        f"PreActResNet-18-1, {settings.images:,} images of 64×64, {settings.rows} rows per step, "
        f"b = {settings.batch_repetitions}, {settings.turns} turns of {settings.steps} steps"
    )
    for name in loops:
        _say(f"  {name:<20} {spread([rows / seconds for seconds in wall[name]], '.1f')} rows/s")
    _say("\n".join(ratio_lines(wall, processor)))


def measure_masks(settings: BenchmarkSettings) -> None:
    """Milliseconds to draw the masks of a step's rows, and their share of a training step."""
    num_draws = 10
    loops = {"training step": mixmo_loop(settings, *random_cifar10(5_000))}
    loops |= {name: _mask_loop(settings, name, num_draws) for name in masks.NAMES}
    wall, _ = take_turns(loops, settings.turns)
    steps = [seconds / settings.steps for seconds in wall.pop("training step")]
    _say(
        f"WRN-{settings.depth}-{settings.width}, {settings.rows} rows of 32×32 per step, "
        f"XLA {'on' if settings.jit_compile else 'off'}, {settings.turns} turns"
    )
    _say(f"  {'training step':<20} {spread([1000 * step for step in steps], '.1f')} ms")
    for name in wall:
        draws = [seconds / num_draws for seconds in wall[name]]
        shares = [100 * draw / step for draw, step in zip(draws, steps, strict=True)]
        _say(
            f"  {name:<20} {spread([1000 * draw for draw in draws], '.2f')} ms, "
            f"{spread(shares, '.2f')} % of a step"
        )


def measure_inference(settings: BenchmarkSettings) -> None:
    """Milliseconds per batch, and the folded network's against the others'; or of a `model`."""
    if settings.model:
        measure_latency(settings)
        return
    models = inference_models(settings)
    _say(
        f"WRN-{settings.depth}-{settings.width}, XLA {'on' if settings.jit_compile else 'off'}, "
        f"{settings.turns} turns"
    )
    for name, model in models.items():
        operations, parameters = cost(model)
        _say(f"  {name:<24} {operations:>4} operations, {parameters:>11,} parameters")
    for num_images in settings.batch_size:
        num_calls = max(1, 64 // num_images)
        of_batch = num_images, num_calls, settings.jit_compile
        loops = {name: prediction_loop(model, *of_batch) for name, model in models.items()}
        wall, _ = take_turns(loops, settings.turns)
        _say(f"Batches of {num_images}:")
        for name, seconds in wall.items():
            latency = spread([1000 * turn / num_calls for turn in seconds], ".1f")
            ratios = [ours / theirs for ours, theirs in zip(wall["folded"], seconds, strict=True)]
            _say(f"  {name:<24} {latency} ms, folded takes {spread(ratios, '.2f')} times that")


def _mask_loop(settings, name, num_draws):
    """Draws of one block's masks for two members."""
    kappa = ratios.draw(settings.rows, 2, 2.0, [0, 0])

    @tf.function(autograph=False, jit_compile=settings.jit_compile)
    def draw(seed):
        return masks.draw(name, kappa, (32, 32), seed)

    def run_draws():
        for i in range(num_draws):
            draw(tf.constant([0, i])).numpy()

    return run_draws


def _say(text):
    _log.info("%s", text)


BENCHMARKS = {
    "train": measure_train,
    "scaling": measure_scaling,
    "input": measure_input,
    "folder": measure_folder,
    "masks": measure_masks,
    "inference": measure_inference,
    "device": measure_device,
}
