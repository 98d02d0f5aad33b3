"""Measures what the README claims, on this machine.

    python scripts/benchmark.py train    MixMo's whole `fit` beside a plain Keras `fit`
    python scripts/benchmark.py input    images/s of the training streams, without a network
    python scripts/benchmark.py folder   training from a folder of JPEGs beside training from memory
    python scripts/benchmark.py masks    drawing the masks of a step beside the step itself

Rates differ from machine to machine and from minute to minute: compare only figures of one
run. The loops take turns, and a ratio is the median over the turns, with the
least and the largest in brackets. On a CPU that others use too, processor seconds are the
steadier measure.
"""

import os
import pathlib
import statistics
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import mixmo_tf
from mixmo_tf import augmentation, data, masks, ratios, seeds

FLAGS = flags.FLAGS
flags.DEFINE_integer("depth", 28, "Depth of the wide_resnet.", lower_bound=10)
flags.DEFINE_integer("width", 2, "Width of the wide_resnet.", lower_bound=1)
flags.DEFINE_integer("rows", 64, "Rows per step of both loops.", lower_bound=1)
flags.DEFINE_integer("batch_repetitions", 4, "b of MixMo; it takes rows / b images.", lower_bound=1)
flags.DEFINE_integer("steps", 8, "Steps of one turn.", lower_bound=1)
flags.DEFINE_integer("turns", 9, "Turns of each loop, after one to warm up.", lower_bound=1)
flags.DEFINE_integer("images", 20_000, "JPEGs of the folder, 64×64 pixels each.", lower_bound=100)
flags.DEFINE_boolean("jit_compile", False, "XLA, in all loops.")

NUM_CLASSES = 10


def main(arguments):
    benchmarks = {
        "train": benchmark_train,
        "input": benchmark_input,
        "folder": benchmark_folder,
        "masks": benchmark_masks,
    }
    if len(arguments) != 2 or arguments[1] not in benchmarks:
        sys.exit(f"benchmark.py: say what to measure: {', '.join(benchmarks)}")
    try:
        benchmarks[arguments[1]]()
    except ValueError as error:
        sys.exit(f"benchmark.py: {error}")


def benchmark_train():
    """Rows/s of both loops, and their ratio."""
    if FLAGS.rows % FLAGS.batch_repetitions:
        raise ValueError(f"rows must be a multiple of batch_repetitions, got {FLAGS.rows}")
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


def take_turns(loops):
    """Seconds and processor seconds of each turn, lists by the names of the loops."""
    wall, processor = ({name: [] for name in loops} for _ in range(2))
    for turn in range(FLAGS.turns + 1):
        for name, run_steps in loops.items():
            start, processor_start = time.perf_counter(), time.process_time()
            run_steps()
            if turn > 0:
                wall[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - processor_start)
    return wall, processor


def print_ratios(wall, processor):
    """The first loop against each of the others."""
    first, *others = wall
    for what, seconds in (("rows/s", wall), ("rows per processor second", processor)):
        for name in others:
            ratios = [theirs / ours for ours, theirs in zip(seconds[first], seconds[name])]
            print(f"  {first} / {name:<20} {spread(ratios, '.2f')} in {what}")


def mixmo_loop(images, labels):
    """MixMo's `fit` with M = 2; the step itself repeats, augments, normalises and mixes."""
    model = mixmo_tf.MixMo(
        mixmo_tf.networks.wide_resnet(FLAGS.depth, FLAGS.width, 2, NUM_CLASSES),
        batch_repetitions=FLAGS.batch_repetitions,
    )
    model.compile(optimizer(), jit_compile=FLAGS.jit_compile)
    batches = data.training_batches((images, labels), FLAGS.rows // FLAGS.batch_repetitions, seed=0)
    return lambda: model.fit(batches, steps_per_epoch=FLAGS.steps, verbose=0)


def plain_loop(images, labels, fused_batch_norm):
    """Keras' own `fit` of the same core; crop, flip and normalisation in the input pipeline.

    Its batch norm is Keras' own, or the fused one of `mixmo_tf.networks`.
    """
    network = mixmo_tf.networks.wide_resnet(FLAGS.depth, FLAGS.width, 1, NUM_CLASSES)
    if not fused_batch_norm:
        network = keras.models.clone_model(network, clone_function=with_batch_norm_of_keras)
    model = keras.Model(network.input["image_0"], network.output[:, 0])
    model.compile(
        optimizer(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=FLAGS.jit_compile,
    )
    rows = tf.range(FLAGS.rows)[:, None]

    def augment(step, batch):
        offsets, flips = augmentation.draw("crop_flip", [FLAGS.rows, 1], seeds.step_seed(0, step))
        images = augmentation.apply(batch[0], rows, offsets, flips)[:, 0]
        return augmentation.normalise(images, (0.5,) * 3, (0.5,) * 3), batch[1]

    batches = data.training_batches((images, labels), FLAGS.rows, seed=0).enumerate()
    batches = batches.map(augment, num_parallel_calls=2).prefetch(2)
    return lambda: model.fit(batches, steps_per_epoch=FLAGS.steps, verbose=0)


def with_batch_norm_of_keras(layer):
    """A copy of the layer, with Keras' class where it is our batch norm."""
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return (keras.layers.BatchNormalization if is_norm else type(layer)).from_config(
        layer.get_config()
    )


def benchmark_input():
    """Images/s of the in-memory stream, on as many images as CIFAR-10 has."""
    print(f"Training streams, {FLAGS.rows} images per batch")
    batches = data.training_batches(random_cifar10(50_000), FLAGS.rows, seed=0)
    rates = stream_rates(batches, num_batches=1000)
    print(f"  memory, 50,000 of 32×32×3    {spread(rates, ',.0f')} images/s")
    with tempfile.TemporaryDirectory() as folder:
        rates = stream_rates(jpeg_folder(folder).training_batches(FLAGS.rows, seed=0), 100)
    print(f"  JPEGs, {FLAGS.images:,} of 64×64×3     {spread(rates, ',.0f')} images/s")


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


def folder_loop(examples):
    """MixMo's `fit`, M = 2, on PreActResNet-18-1."""
    network = mixmo_tf.networks.preact_resnet18(1, 2, NUM_CLASSES, examples.info.image_shape)
    model = mixmo_tf.MixMo(network, batch_repetitions=FLAGS.batch_repetitions)
    model.compile(optimizer(), jit_compile=FLAGS.jit_compile)
    batches = examples.training_batches(FLAGS.rows // FLAGS.batch_repetitions, seed=0)
    return lambda: model.fit(batches, steps_per_epoch=FLAGS.steps, verbose=0)


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
        shares = [100 * draw / step for draw, step in zip(draws, steps)]
        print(
            f"  {name:<20} {spread([1000 * draw for draw in draws], '.2f')} ms, "
            f"{spread(shares, '.2f')} % of a step"
        )


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


def jpeg_folder(folder):
    """Examples on disk: JPEGs of blurred noise, about as large as Tiny ImageNet's."""
    random = np.random.default_rng(0)
    for i in range(FLAGS.images):
        noise = tf.image.resize(random.integers(0, 256, (16, 16, 3)), (64, 64))
        path = pathlib.Path(folder, f"class_{i % NUM_CLASSES}", f"{i}.jpg")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tf.io.encode_jpeg(tf.cast(noise, tf.uint8), quality=75).numpy())
    return data.load_examples(f"image_folder:{folder}", "train")


def random_cifar10(num_images):
    """Random pixels and labels in CIFAR-10's shapes; what they show does not change the rate."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (num_images, 32, 32, 3), dtype=np.uint8)
    return images, random.integers(0, NUM_CLASSES, num_images)


def optimizer():
    return keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)


def spread(values, form):
    """Median, and in brackets the smallest and the largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} … {high:{form}})"


if __name__ == "__main__":
    app.run(main)
