"""What a backbone must be: what cannot be cut, copied or trained is said in a line."""

import keras
import numpy as np
import pytest
from backbones import CONV, IMAGES, model_of

from mixmo_tf.networks import from_backbone

layers = keras.layers


class Subclassed(keras.Model):
    def call(self, x):
        return x


class Noisy(layers.Layer):
    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


def around(x):
    return layers.Add()([x, layers.Conv2D(3, 3, padding="same", name="conv")(x)])


def two_inputs():
    images = [keras.Input((16, 16, 3), name=name) for name in "ab"]
    return keras.Model(images, layers.Conv2D(2, 1)(layers.Add()(images)))


class Doubled(layers.Layer):
    def call(self, x, training=None):
        return 2 * x


def test_a_layer_is_looked_at_whatever_it_was_called_with():
    backbone = model_of(CONV(), lambda x: Doubled()(x, training=False))
    assert from_backbone(backbone, 2, 4).count_params() == 2 * 112 + 2 * 20


def called_on_images(backbone):
    backbone(IMAGES / np.float32(255))
    return backbone


REFUSED = [
    (lambda: "ResNet", {}, "backbone must be a keras.Model, got a str"),
    (lambda: Subclassed(name="sub"), {}, "sub is a Subclassed that is subclassed or not built"),
    (lambda: keras.Sequential([CONV()]), {}, "is a Sequential that is subclassed or not built"),
    (two_inputs, {}, r"backbone must have one input, got 2 \(a, b\)"),
    (lambda: model_of(layers.Dense(2), shape=(5,)), {}, r"take images .*, got \(None, 5\)"),
    (lambda: model_of(layers.Flatten()), {}, r"own has no convolution \(Conv2D\) to be cut after"),
    (lambda: model_of(around), {}, "no single tensor separates own at conv: add.* passes it by"),
    (lambda: model_of(CONV()), {"split_at": "no"}, "split_at must be a layer of own, got 'no'"),
    (lambda: model_of(CONV()), {"features_at": 3}, "features_at must be a layer of own, got 3"),
    (lambda: model_of(CONV(), layers.Flatten(name="flat"), layers.Dense(2)), {"split_at": "flat"},
     r"split_at must be a layer that gives a map .*, and flat of own gives \(None, 784\)"),
    (lambda: model_of(CONV(), layers.RandomFlip(name="flip")), {}, "flip of own, a RandomFlip"),
    (lambda: model_of(CONV(), Noisy(name="noisy")), {}, "noisy of own, a Noisy, draws random num"),
    (lambda: model_of(CONV(activity_regularizer="l2")), {}, "conv of own has an activity_regulari"),
    (lambda: model_of(CONV(data_format="channels_first")), {}, "conv of own has data_format='chan"),
    (lambda: model_of(CONV(activation=around)), {}, "conv_activation of own cannot be copied by"),
    (lambda: called_on_images(model_of(CONV(activation=layers.PReLU()))), {}, "conv of own cannot "
     "be copied by its config: it has 3 weights, and its copy 2"),
    (lambda: model_of(CONV(), layers.TimeDistributed(layers.Normalization(name="norm"))), {},
     "time_dist.* of own has norm inside, and a Normalization that was adapted keeps its numbers"),
    (lambda: model_of(CONV()), {"num_members": 0}, "num_members must be >= 1, got 0"),
    (lambda: model_of(CONV()), {"image_shape": (8, 8, 3)}, r"image_shape must fit \(16, 16, 3\)"),
    (lambda: model_of(CONV()), {"image_shape": 8}, r"image_shape must fit \(16, 16, 3\), .* got 8"),
]  # fmt: skip


@pytest.mark.parametrize("build, arguments, message", REFUSED)
def test_what_cannot_be_cut_is_refused_in_one_line(build, arguments, message):
    arguments = {"num_members": 2, "num_classes": 4, **arguments}
    with pytest.raises(ValueError, match=message) as raised:
        from_backbone(build(), **arguments)
    assert "\n" not in str(raised.value)
