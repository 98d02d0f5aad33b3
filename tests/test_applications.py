"""Backbones by their names in keras.applications, and the pixels that their weights are used to."""

import pytest

from mixmo_tf.experiments import Settings
from mixmo_tf.networks import applications


def test_each_model_says_which_pixels_it_takes():
    found = {name: applications.pixels_of(f"backbone:{name}") for name in applications.names()}
    assert len(found) > 30
    assert found["ResNet50V2"] == ((0.5,) * 3, (0.5,) * 3, False)
    assert found["MobileNetV3Small"] == ((0.0,) * 3, (1 / 255,) * 3, False)
    mean, std, is_reversed = found["DenseNet121"]
    assert mean == pytest.approx((0.485, 0.456, 0.406)) and not is_reversed
    assert std == pytest.approx((0.229, 0.224, 0.225))
    mean, std, is_reversed = found["VGG16"]  # blue first, in 103.939, 116.779, 123.68
    assert [255 * each for each in mean] == pytest.approx([123.68, 116.779, 103.939])
    assert std == pytest.approx((1 / 255,) * 3) and is_reversed


def test_an_unknown_name_is_refused_beside_its_neighbours():
    for name, near in (("MobilNetV3small", "MobileNetV3Small"), ("", "ResNet50V2")):
        with pytest.raises(ValueError, match=f"a model of keras.applications, .*{near}.*, got"):
            Settings(network=f"backbone:{name}")
    with pytest.raises(ValueError, match="one of .*, resnet50, backbone:NAME, got 'MobileNetV3Sm"):
        Settings(network="MobileNetV3Small")


def test_images_that_are_too_small_are_refused():
    message = "network=backbone:MobileNetV3Small takes images of at least 32×32, got 8×16"
    with pytest.raises(ValueError, match=message):
        applications.build("backbone:MobileNetV3Small", (8, 16, 3))
