import functools

import keras
import numpy as np
import pytest
from small_models import small

from mixmo_tf.networks import (
    NETWORKS,
    parts,
    preact_resnet18,
    resnet18,
    resnet50,
    size,
    wide_resnet,
)

# method's exact counts of trainable parameters; test_configs.py has those of the paper's cells
COUNTS = [
    (wide_resnet, (28, 10), 3, 100, 36_665_948),
    (wide_resnet, (28, 2), 2, 100, 1_492_552),
]


@functools.cache
def built(name):
    """The smallest network of this name, to be read; its tests let it draw zeros."""
    return NETWORKS[name].build(**arguments_of(name))


def arguments_of(name):
    return small(name, num_members=3, image_shape=(32, 48, 3))


@pytest.mark.parametrize("build, size, num_members, num_classes, count", COUNTS)
def test_parameter_counts_are_exact(build, size, num_members, num_classes, count, quick_weights):
    network = build(*size, num_members=num_members, num_classes=num_classes)
    assert sum(np.prod(w.shape) for w in network.trainable_variables) == count


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_its_parts_and_is_counted_from_below(name, quick_weights):
    arguments, network = arguments_of(name), built(name)
    assert parts.image_shape(network) == (32, 48, 3) and network.output.shape == (None, 3, 7)
    assert len(parts.encoders(network)) == len(parts.heads(network)) == 3
    assert [calls[-1].operation for calls in parts.until_mixing(network)] == parts.encoders(network)
    assert all(map(parts.is_head, parts.heads(network)))
    counted = size.parameters(NETWORKS[name].kernels(**arguments))
    assert 0 < counted <= sum(np.prod(w.shape) for w in network.trainable_variables)
    for argument in arguments:
        with pytest.raises(ValueError, match=argument):
            NETWORKS[name].kernels(**{**arguments, argument: -1})


def test_inputs_and_output_by_name(quick_weights):
    network = preact_resnet18(1, num_members=3, num_classes=7, image_shape=(64, 48, 3), filters=8)
    assert set(network.input) == {"image_0", "image_1", "image_2", "masks"}
    assert network.input["masks"].shape == (None, 32, 24, 3)
    assert network.output.shape == (None, 3, 7)
    plain = wide_resnet(10, 1, num_members=1, num_classes=7)
    assert set(plain.input) == {"image_0"}
    assert plain.output.shape == (None, 1, 7)


def test_resnets_mix_before_batch_norm_relu_and_pool(quick_weights):
    network = resnet18(image_shape=(64, 64, 3), num_classes=5)
    assert network.input["masks"].shape == (None, 32, 32, 2)
    assert network.get_layer("mixing").output.shape == (None, 32, 32, 64)
    assert network.get_layer("group_1_block_0_conv_1").output.shape == (None, 16, 16, 64)
    assert network.get_layer("pool").input.shape == (None, 2, 2, 512)
    bottleneck = resnet50(image_shape=(64, 64, 3), num_classes=5)
    strides = [bottleneck.get_layer(f"group_2_block_0_conv_{i}").strides for i in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]  # the stride is in the 3×3


def test_logits_are_float32_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = wide_resnet(10, 1)
    finally:
        keras.config.set_dtype_policy("float32")
    images = np.zeros((2, 32, 32, 3), np.float32)
    masks = np.full((2, 32, 32, 2), 0.5, np.float32)
    logits = network({"image_0": images, "image_1": images, "masks": masks})
    assert logits.dtype == "float32"


HE_TRUNCATED = 0.8796  # √(1 − 4φ(2) / (2Φ(2) − 1)): what cutting at ± 2 leaves of N(0, 1)


@pytest.mark.parametrize(
    "build",
    [
        lambda: wide_resnet(10, 10, num_classes=100),
        lambda: preact_resnet18(1, num_classes=1000),
        lambda: resnet18(image_shape=(32, 32, 3)),
        lambda: resnet50(image_shape=(32, 32, 3)),
    ],
)
def test_initial_kernels_are_he_truncated(build):
    """N(0, 2 / fan_in) cut at ± 2 of its standard deviations, not widened for it.

    The heads of a wide_resnet too; those of the others start small.
    """
    network = build()
    for layer in network.layers:
        kernel = layer.kernel.numpy() if hasattr(layer, "kernel") else np.zeros(0)
        if kernel.ndim == 2 and not network.name.startswith("wide_resnet"):
            assert np.std(kernel) == pytest.approx(0.01, rel=0.02)
        elif kernel.size:
            scale = (2 / np.prod(kernel.shape[:-1])) ** 0.5
            assert np.abs(kernel).max() <= 2.001 * scale
            assert np.std(kernel) == pytest.approx(HE_TRUNCATED * scale, rel=4 / kernel.size**0.5)


@pytest.mark.parametrize("build", [lambda: wide_resnet(10, 1, 3), lambda: preact_resnet18(1, 3)])
def test_no_two_members_start_alike(build):
    network = build()
    for part in ("encoder", "head"):
        kernels = [network.get_layer(f"{part}_{i}").kernel.numpy() for i in range(3)]
        for i, j in ((0, 1), (0, 2), (1, 2)):
            assert not np.any(kernels[i] == kernels[j])


def test_bad_values_are_named():
    with pytest.raises(
        ValueError, match="depth of a wide_resnet must be 10, 16, 22, 28, …, got 27"
    ):
        wide_resnet(27, 10)
    with pytest.raises(ValueError, match="width must be >= 1, got 0"):
        wide_resnet(28, 0)
    with pytest.raises(ValueError, match="num_members must be >= 1, got 0"):
        preact_resnet18(1, num_members=0)
    with pytest.raises(ValueError, match="num_classes must be >= 2, got 1"):
        preact_resnet18(1, num_classes=1)
    with pytest.raises(ValueError, match="image_shape must be"):
        wide_resnet(28, 10, image_shape=(32, 32))


def test_keras_set_to_channels_first_changes_no_network(quick_weights):
    def shapes(network):
        return [tuple(weight.shape) for weight in network.weights]

    expected = {name: shapes(built(name)) for name in NETWORKS}
    keras.config.set_image_data_format("channels_first")
    try:
        for name in NETWORKS:
            assert shapes(NETWORKS[name].build(**arguments_of(name))) == expected[name]
    finally:
        keras.config.set_image_data_format("channels_last")
