"""What the benchmarks let run: MixMo's `fit`, a plain one beside it, and their data."""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import mixmo_tf
from mixmo_tf import augmentation, data, seeds, training
from mixmo_tf.data import stream
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings
from mixmo_tf.networks import NETWORKS, parts, size
from mixmo_tf.networks.precision import uses_float16

NUM_CLASSES = 10


def build_network(
    settings: BenchmarkSettings, name: str, image_shape: Sequence[int], **sizes: int | Sequence[int]
) -> keras.Model:
    """A network of M = 2; refused where a step on so many rows cannot fit into memory."""
    sizes |= {"num_members": 2, "num_classes": NUM_CLASSES, "image_shape": image_shape}
    kernels = NETWORKS[name].kernels(**sizes)
    num_bytes = size.BYTES * settings.rows * size.activations(kernels)
    size.check_step(f"a step on rows={settings.rows}", num_bytes)
    return NETWORKS[name].build(**sizes)


def mixmo_loop(
    settings: BenchmarkSettings,
    images: np.ndarray,
    labels: np.ndarray,
    strategy: tf.distribute.Strategy | None = None,
    precision: str = "float32",
    with_today: bool = False,
    **options: Any,
) -> Callable[[], object]:
    """MixMo's `fit` with M = 2; the step itself repeats, augments, normalises and mixes.

    With a recipe of today: TrivialAugment, random erasing, smoothed labels, a cosine and averages.
    """
    with (strategy or tf.distribute.get_strategy()).scope():
        network = build_network(
            settings, "wide_resnet", (32, 32, 3), depth=settings.depth, width=settings.width
        )
        mixmo_tf.networks.set_precision(network, precision)
        options = {"jit_compile": settings.jit_compile, **options}
        model = compiled_mixmo(network, settings.batch_repetitions, with_today, **options)
    batches = data.training_batches(
        (images, labels), settings.rows // settings.batch_repetitions, seed=0
    )
    return lambda: model.fit(batches, steps_per_epoch=settings.steps, verbose=0)


def compiled_mixmo(
    network: keras.Model, batch_repetitions: int, with_today: bool = False, **options: Any
) -> mixmo_tf.MixMo:
    """A MixMo of the network; `options` are those of `compile`."""
    today = {"trivial_augment": True, "random_erasing": 0.1, "label_smoothing": 0.1}
    method = {"batch_repetitions": batch_repetitions, **(today if with_today else {})}
    model = mixmo_tf.MixMo(network, **method)
    model.compile(averaging_optimizer() if with_today else optimizer(), **options)
    return model


def plain_loop(
    settings: BenchmarkSettings, images: np.ndarray, labels: np.ndarray, fused_batch_norm: bool
) -> Callable[[], object]:
    """Keras' own `fit` of the same core; crop, flip and normalisation in the input pipeline.

    Its batch norm is Keras' own, or the fused one of `mixmo_tf.networks`.
    """
    network = mixmo_tf.networks.wide_resnet(settings.depth, settings.width, 1, NUM_CLASSES)
    model = compiled_keras(network, fused_batch_norm, jit_compile=settings.jit_compile)
    batches = augmented_batches(images, labels, settings.rows)
    options = {"steps_per_epoch": settings.steps, "verbose": 0, "shuffle": False}
    return lambda: model.fit(batches, **options)


def compiled_keras(
    network: keras.Model, fused_batch_norm: bool = False, **options: Any
) -> keras.Model:
    """A Keras model of a network of M = 1; `options` are those of `compile`."""
    if not fused_batch_norm:
        network = keras.models.clone_model(network, clone_function=with_batch_norm_of_keras)
    model = keras.Model(network.input[parts.IMAGE.format(0)], network.output[:, 0])
    of_loop = optimizer()
    if uses_float16(network):
        of_loop = keras.optimizers.LossScaleOptimizer(of_loop)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(of_loop, loss, metrics=["accuracy"], **options)
    return model


def augmented_batches(images: np.ndarray, labels: np.ndarray, num_rows: int) -> tf.data.Dataset:
    """Batches for a Keras model, without end: cropped, flipped, normalised images, and labels."""
    rows = tf.range(num_rows)[:, None]

    def augment(step, batch):
        offsets, flips = augmentation.draw("crop_flip", [num_rows, 1], seeds.step_seed(0, step))
        images = augmentation.apply(batch[0], rows, offsets, flips)[:, 0]
        return augmentation.normalise(images, (0.5,) * 3, (0.5,) * 3), batch[1]

    batches = data.training_batches((images, labels), num_rows, seed=0).enumerate()
    return batches.map(stream.as_it_is(augment), num_parallel_calls=2).prefetch(2)


def with_batch_norm_of_keras(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A copy of the layer, with Keras' class where it is our batch norm."""
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return (keras.layers.BatchNormalization if is_norm else type(layer)).from_config(
        layer.get_config()
    )


def folder_loop(
    settings: BenchmarkSettings, examples: data.Examples | data.Records
) -> Callable[[], object]:
    """MixMo's `fit`, M = 2, on PreActResNet-18-1."""
    shape = examples.info.image_shape
    network = build_network(settings, "preact_resnet18", shape, width=1, filters=64)
    model = compiled_mixmo(network, settings.batch_repetitions, jit_compile=settings.jit_compile)
    batches = examples.training_batches(settings.rows // settings.batch_repetitions, seed=0)
    return lambda: model.fit(batches, steps_per_epoch=settings.steps, verbose=0)


def jpeg_folder(
    settings: BenchmarkSettings, folder: str | os.PathLike
) -> data.Examples | data.Records:
    """Examples on disk: JPEGs of blurred noise, about as large as Tiny ImageNet's."""
    random = np.random.default_rng(0)
    for i in range(settings.images):
        noise = tf.image.resize(random.integers(0, 256, (16, 16, 3)), (64, 64))
        path = pathlib.Path(folder, f"class_{i % NUM_CLASSES}", f"{i}.jpg")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tf.io.encode_jpeg(tf.cast(noise, tf.uint8), quality=75).numpy())
    return data.load_examples(f"image_folder:{folder}", "train")


def imagenet_records(count: int) -> data.Records:
    """Records in memory: JPEGs of 500×375, as large as ImageNet's mostly are."""
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=1000),
        }
    )
    random = np.random.default_rng(0)

    def record():
        noise = tf.image.resize(random.integers(0, 256, (75, 100, 3)), (375, 500))
        image = tf.cast(noise, tf.uint8).numpy()
        return features.serialize_example({"image": image, "label": random.integers(1000)})

    names = tuple(map(str, range(1000)))
    info = data.Info("imagenet2012", count, (224, 224, 3), names)
    records = [record() for _ in range(count)]
    return data.Records(records, features, np.arange(count), info, version="", location="")


def random_cifar10(num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Random pixels and labels in CIFAR-10's shapes; what they show does not change the rate."""
    return random_examples(num_images, (32, 32, 3), NUM_CLASSES)


def random_examples(
    num_images: int, image_shape: Sequence[int], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random pixels, uint8 (n, H, W, channels), and random labels, int64 (n,)."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (num_images, *image_shape), dtype=np.uint8)
    return images, random.integers(0, num_classes, num_images)


def optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)


def averaging_optimizer() -> keras.optimizers.Optimizer:
    """The same with a cosine instead of a constant rate, and with averages of the weights."""
    rate = training.WarmupCosine(0.01, 10, 1_000_000)
    averages = {"use_ema": True, "ema_momentum": 0.999}
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **averages)
