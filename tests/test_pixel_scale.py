"""What pixels are normalised by where nothing is given: 0.5 each, or what leaves them alone."""

import keras
import numpy as np
import pytest
from small_models import tiny_network

import mixmo_tf
from mixmo_tf import augmentation
from mixmo_tf.models import pixel_scale
from mixmo_tf.networks import from_backbone

layers = keras.layers


def network_with(*before):
    x = image = keras.Input((8, 8, 3))
    for layer in before:
        x = layer(x)
    return from_backbone(keras.Model(image, layers.Conv2D(2, 3)(x), name="own"), 2, 4)


@pytest.mark.parametrize(
    "before",
    [
        (layers.Rescaling(1 / 255),),
        (layers.ZeroPadding2D(1), layers.Normalization(mean=[1, 2, 3], variance=[4, 5, 6])),
        (lambda x: x / 127.5 - 1,),
    ],
    ids=["rescaling", "normalization", "arithmetic"],
)
def test_pixels_stay_as_they_are_bit_for_bit(before):
    network = network_with(*before)
    mean, std = pixel_scale.of(network, None, None)
    assert mean == (0, 0, 0) and std == (1 / 255,) * 3
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, -1, 1).repeat(3, axis=-1)
    np.testing.assert_array_equal(augmentation.normalise(pixels, mean, std), pixels)
    model = mixmo_tf.MixMo(network, mean=(0.1, 0.2, 0.3))
    assert model.mean == (0.1, 0.2, 0.3) and model.std == (1 / 255,) * 3


def test_else_they_are_brought_to_one():
    for network in (network_with(), network_with(layers.ZeroPadding2D(1)), tiny_network()):
        assert pixel_scale.of(network, None, None) == ((0.5,) * 3, (0.5,) * 3)
        assert pixel_scale.of(network, (0.1,) * 3, None) == ((0.1,) * 3, (0.5,) * 3)
    with pytest.raises(ValueError, match="mean and std must have 3 values"):
        pixel_scale.of(tiny_network(), (0.5,), None)
