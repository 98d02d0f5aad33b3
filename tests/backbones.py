"""Small backbones that the tests build networks of, and photographs to set their batch norm by."""

import functools

import keras
import numpy as np
from sklearn.datasets import load_sample_image

from mixmo_tf.networks import graph, parts

layers = keras.layers
CONV = functools.partial(layers.Conv2D, 4, 3, name="conv")
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype(np.uint8)


def photographs(size, number=24):
    """Crops (n, size, size, 3) of scikit-learn's two photographs, uint8."""
    random, photos = np.random.default_rng(0), map(load_sample_image, ("china.jpg", "flower.jpg"))
    photos, found = list(photos), []
    for i in range(number):
        row, column = random.integers(0, 400 - size, 2)
        found.append(photos[i % 2][row : row + size, column : column + size])
    return np.stack(found)


def cnn(size=16):
    """A convolution with bias and ReLU, batch norm, dropout, a residual block, a dense layer."""
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(8, 3, 2, activation="relu", kernel_regularizer="l2", name="first")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.SpatialDropout2D(0.2)(x)
    x = layers.Add(name="sum")([x, layers.Conv2D(8, 3, padding="same")(x)])
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.3, name="features")(x)
    return keras.Model(image, layers.Dense(5, activation="softmax")(x), name="cnn")


def vit(size=16):
    """A vision transformer, whose patches are of 4×4 pixels; it divides pixels itself."""
    image = keras.Input((size, size, 3))
    x = layers.GaussianNoise(0.1)(image / 255.0)
    x = layers.Conv2D(8, 4, 4, name="patches")(x)
    x = layers.Reshape(((size // 4) ** 2, 8))(x)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(y, y)])
        y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(8)(layers.Dropout(0.1)(y))])
    return keras.Model(image, layers.LayerNormalization()(x), name="vit")


def application(name, size=32, **options):
    function = getattr(keras.applications, name)
    return function(weights=None, include_top=False, input_shape=(size, size, 3), **options)


def settled(backbone, pixels):
    """The backbone with the batch-norm statistics of these images, float32 (n, H, W, 3)."""
    norms = [call.operation for call in graph.read(backbone).calls]
    norms = [each for each in norms if isinstance(each, layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    if norms:
        backbone(pixels, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return backbone


def features_of(network):
    """The network up to what enters its heads."""
    return keras.Model(network.input, parts.heads(network)[0].input)


def model_of(*calls, shape=(16, 16, 3), name="own"):
    x = image = keras.Input(shape)
    for call in calls:
        x = call(x)
    return keras.Model(image, x, name=name)
