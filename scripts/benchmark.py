"""Measures what the README claims, on this machine.

    python scripts/benchmark.py train     MixMo's whole `fit` beside a plain Keras `fit`
    python scripts/benchmark.py scaling   XLA, bfloat16, two replicas, steps per execution
    python scripts/benchmark.py input     images/s of the training streams, without a network
    python scripts/benchmark.py folder    training from JPEGs beside training from memory
    python scripts/benchmark.py masks     drawing the masks of a step beside the step itself
    python scripts/benchmark.py inference a folded network beside a plain one and its members

Rates differ from machine to machine and from minute to minute: compare only figures of one
run. The loops take turns, and a ratio is the median over the turns, with the
least and the largest in brackets. On a CPU that others use too, processor seconds are the
steadier measure.
"""

import os
import sys
import tempfile
import time

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from absl import flags, logging
from inference_loops import cost, inference_models, prediction_loop
from loops import (
    folder_loop,
    imagenet_records,
    jpeg_folder,
    mixmo_loop,
    plain_loop,
    random_cifar10,
)
from turns import print_ratios, spread, take_turns

from mixmo_tf import data, masks, ratios

FLAGS = flags.FLAGS
SETTINGS = {  # of `scaling`, beside float32: how a loop differs from it
    "xla": {"jit_compile": True},
    "bfloat16": {"precision": "mixed_bfloat16"},
    "bfloat16_xla": {"precision": "mixed_bfloat16", "jit_compile": True},
    "16_steps_per_execution": {"steps_per_execution": 16},
    "two_replicas": {},
}
flags.DEFINE_multi_enum(
    "settings", list(SETTINGS), list(SETTINGS), "What `scaling` compares with float32."
)
flags.DEFINE_multi_integer(
    "batch_size", [1, 256], "Images per batch of `inference`, once or several times.", lower_bound=1
)


def main(arguments):
    benchmarks = {
        "train": benchmark_train,
        "scaling": benchmark_scaling,
        "input": benchmark_input,
        "folder": benchmark_folder,
        "masks": benchmark_masks,
        "inference": benchmark_inference,
    }
    if len(arguments) != 2 or arguments[1] not in benchmarks:
        sys.exit(f"benchmark.py: say what to measure: {', '.join(benchmarks)}")
    if FLAGS.rows % FLAGS.batch_repetitions:
        sys.exit(f"benchmark.py: rows must be a multiple of b, got {FLAGS.rows}")
    logging.set_verbosity(logging.WARNING)
    tf.get_logger().setLevel("ERROR")
    try:
        benchmarks[arguments[1]]()
    except ValueError as error:
        sys.exit(f"benchmark.py: {error}")


def benchmark_train():
    """Rows/s of both loops, and their ratio."""
    images, labels = random_cifar10(5_000)
    loops = {
        "MixMo": mixmo_loop(images, labels),
        "plain Keras": plain_loop(images, labels, fused_batch_norm=False),
        "plain Keras, our BN": plain_loop(images, labels, fused_batch_norm=True),
    }
    wall, processor = take_turns(loops)
    print(
        f"WRN-{FLAGS.depth}-{FLAGS.width}, {FLAGS.rows} rows per step, "
        f"XLA {'on' if FLAGS.jit_compile else 'off'}, {FLAGS.turns} turns of {FLAGS.steps} steps"
    )
    rows = FLAGS.steps * FLAGS.rows
    for name in loops:
        print(f"  {name:<20} {spread([rows / seconds for seconds in wall[name]], '.0f')} rows/s")
    print_ratios(wall, processor)


def benchmark_scaling():
    """Rows/s of MixMo's `fit`, changed in one respect at a time."""
    devices = scaling_devices()
    one = tf.distribute.OneDeviceStrategy(devices[0])
    arrays = random_cifar10(5_000)
    loops = {"float32": mixmo_loop(*arrays, strategy=one)}
    for name in FLAGS.settings:
        strategy = one
        if name == "two_replicas":
            if len(devices) < 2:
                continue
            strategy = tf.distribute.MirroredStrategy(devices[:2])
        loops[name] = mixmo_loop(*arrays, strategy=strategy, **SETTINGS[name])
    wall, _ = take_turns(loops)
    print(
        f"WRN-{FLAGS.depth}-{FLAGS.width}, {FLAGS.rows} rows per step, {devices[0]}, "
        f"{FLAGS.turns} turns of {FLAGS.steps} steps"
    )
    first = wall["float32"]
    for name, seconds in wall.items():
        rates = [FLAGS.steps * FLAGS.rows / turn for turn in seconds]
        times = [ours / theirs for ours, theirs in zip(first, seconds, strict=True)]
        print(f"  {name:<24} {spread(rates, '.1f')} rows/s, {spread(times, '.2f')} times the first")


def scaling_devices():
    """The names of the GPUs; without any, of two logical CPUs on this one."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        (cpu,) = tf.config.list_physical_devices("CPU")
        two = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        tf.config.set_logical_device_configuration(cpu, two)
    return [device.name for device in tf.config.list_logical_devices("GPU" if gpus else "CPU")]


def benchmark_input():
    """Images/s of each kind of stream: from memory, from files, and ImageNet's crops."""
    print(f"Training streams, {FLAGS.rows} images per batch")
    batches = data.training_batches(random_cifar10(50_000), FLAGS.rows, seed=0)
    rates = stream_rates(batches, num_batches=1000)
    print(f"  memory, 50,000 of 32×32×3    {spread(rates, ',.0f')} images/s")
    with tempfile.TemporaryDirectory() as folder:
        rates = stream_rates(jpeg_folder(folder).training_batches(FLAGS.rows, seed=0), 100)
    print(f"  JPEGs, {FLAGS.images:,} of 64×64×3     {spread(rates, ',.0f')} images/s")
    rates = stream_rates(imagenet_records(500).training_batches(FLAGS.rows, seed=0), 10)
    print(f"  crops of 224×224 of ImageNet {spread(rates, ',.0f')} images/s")


def stream_rates(batches, num_batches):
    """Images/s of each turn, `num_batches` a turn."""
    batches, rates = iter(batches), []
    for turn in range(FLAGS.turns + 1):
        start = time.perf_counter()
        for _ in range(num_batches):
            next(batches)
        if turn > 0:
            rates.append(num_batches * FLAGS.rows / (time.perf_counter() - start))
    return rates


def benchmark_folder():
    """Rows/s of MixMo's `fit` on a folder of JPEGs and on the same images in memory."""
    with tempfile.TemporaryDirectory() as folder:
        on_disk = jpeg_folder(folder)
        loops = {
            "folder": folder_loop(on_disk),
            "memory": folder_loop(on_disk.in_memory()),
        }
        wall, processor = take_turns(loops)
    rows = FLAGS.steps * FLAGS.rows
    print(
        f"PreActResNet-18-1, {FLAGS.images:,} images of 64×64, {FLAGS.rows} rows per step, "
        f"b = {FLAGS.batch_repetitions}, {FLAGS.turns} turns of {FLAGS.steps} steps"
    )
    for name in loops:
        print(f"  {name:<20} {spread([rows / seconds for seconds in wall[name]], '.1f')} rows/s")
    print_ratios(wall, processor)


def benchmark_masks():
    """Milliseconds to draw the masks of a step's rows, and their share of a training step."""
    num_draws = 10
    loops = {"training step": mixmo_loop(*random_cifar10(5_000))}
    loops |= {name: mask_loop(name, num_draws) for name in masks.NAMES}
    wall, _ = take_turns(loops)
    steps = [seconds / FLAGS.steps for seconds in wall.pop("training step")]
    print(
        f"WRN-{FLAGS.depth}-{FLAGS.width}, {FLAGS.rows} rows of 32×32 per step, "
        f"XLA {'on' if FLAGS.jit_compile else 'off'}, {FLAGS.turns} turns"
    )
    print(f"  {'training step':<20} {spread([1000 * step for step in steps], '.1f')} ms")
    for name in wall:
        draws = [seconds / num_draws for seconds in wall[name]]
        shares = [100 * draw / step for draw, step in zip(draws, steps, strict=True)]
        print(
            f"  {name:<20} {spread([1000 * draw for draw in draws], '.2f')} ms, "
            f"{spread(shares, '.2f')} % of a step"
        )


def benchmark_inference():
    """Milliseconds per batch, and the folded network's against the others'."""
    models = inference_models()
    print(f"WRN-{FLAGS.depth}-{FLAGS.width}, {FLAGS.turns} turns")
    for name, model in models.items():
        operations, parameters = cost(model)
        print(f"  {name:<24} {operations:>4} operations, {parameters:>11,} parameters")
    for num_images in FLAGS.batch_size:
        num_calls = max(1, 64 // num_images)
        wall, _ = take_turns(
            {name: prediction_loop(m, num_images, num_calls) for name, m in models.items()}
        )
        print(f"Batches of {num_images}:")
        for name, seconds in wall.items():
            latency = spread([1000 * turn / num_calls for turn in seconds], ".1f")
            ratios = [ours / theirs for ours, theirs in zip(wall["folded"], seconds, strict=True)]
            print(f"  {name:<24} {latency} ms, folded takes {spread(ratios, '.2f')} times that")


def mask_loop(name, num_draws):
    """Draws of one block's masks for two members."""
    kappa = ratios.draw(FLAGS.rows, 2, 2.0, [0, 0])

    @tf.function(jit_compile=FLAGS.jit_compile)
    def draw(seed):
        return masks.draw(name, kappa, (32, 32), seed)

    def run_draws():
        for i in range(num_draws):
            draw(tf.constant([0, i])).numpy()

    return run_draws


if __name__ == "__main__":
    ending.run(main)
