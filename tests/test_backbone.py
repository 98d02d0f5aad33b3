"""Networks made of any Keras model: at first the backbone's own features, then trained as MixMo."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from backbones import (
    IMAGES,
    application,
    cnn,
    features_of,
    photographs,
    settled,
    vit,
)
from small_models import assert_same
from test_fold import operations

import mixmo_tf
from mixmo_tf import augmentation, draws
from mixmo_tf.deployment import fold
from mixmo_tf.networks import from_backbone, parts

layers = keras.layers
BUILDS = {
    "MobileNetV3Small": functools.partial(application, "MobileNetV3Small"),
    "EfficientNetV2B0": functools.partial(application, "EfficientNetV2B0"),
    "ResNet50V2": functools.partial(application, "ResNet50V2"),
    "ConvNeXtTiny": functools.partial(application, "ConvNeXtTiny"),
    "cnn": cnn,
    "vit": vit,
}
MEMBERS = dict.fromkeys(BUILDS, (2, 3))
MEMBERS |= {"EfficientNetV2B0": (3,), "ResNet50V2": (2,), "ConvNeXtTiny": (3,)}  # the deep ones
RESCALE = ("MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny", "vit")


@functools.cache
def built(name):
    """A backbone as if it were trained, images, and its features of them."""
    keras.utils.set_random_seed(0)
    backbone = BUILDS[name]()
    images = photographs(backbone.input_shape[1])
    pixels = images.astype(np.float32) if name in RESCALE else images / np.float32(127.5) - 1
    settled(backbone, pixels)
    output = backbone.get_layer("features").output if name == "cnn" else backbone.output
    features = np.array(keras.Model(backbone.input, output)(pixels))
    return backbone, images, features.reshape(len(images), -1, features.shape[-1]).mean(axis=1)


@functools.cache
def model_on(name, num_members):
    """A MixMo on a network of a backbone; who changes its weights puts them back."""
    simple = {"batch_repetitions": 1, "augmentation": "none", "alpha": 0}
    return mixmo_tf.MixMo(from_backbone(built(name)[0], num_members, 5), **simple)


@functools.cache
def folded_on(name, num_members):
    """That MixMo, folded; who changes it puts it back."""
    return fold(model_on(name, num_members))


def error(folded, images, features):
    """The largest difference of a folded model's features, of the largest feature."""
    pixels = augmentation.normalise(images, folded.mean, folded.std)
    ours = np.array(features_of(folded.network)(parts.inputs([pixels])))
    return np.abs(ours - features).max() / np.abs(features).max()


@pytest.mark.parametrize(
    "name, num_members", [(name, number) for name in BUILDS for number in MEMBERS[name]]
)
def test_the_folded_features_are_the_backbones(name, num_members, request):
    _, images, features = built(name)
    assert np.abs(features).max() > 0.01  # fresh statistics would make anything pass
    model = model_on(name, num_members)
    assert parts.rescales(model.network) == (name in RESCALE)
    request.getfixturevalue("quick_weights")  # what is drawn from here on is set at once
    assert error(folded_on(name, num_members), images, features) < 1e-4


def test_a_wrong_rescaling_or_stride_shows():
    _, images, features = built("MobileNetV3Small")
    model = model_on("MobileNetV3Small", 2)
    folded = fold(mixmo_tf.MixMo(model.network, mean=(0.5,) * 3, std=(0.5,) * 3))
    assert error(folded, images, features) > 0.1  # normalised twice
    folded.mean, folded.std = model.mean, model.std
    assert error(folded, images, features) < 1e-4
    folded.network.get_layer("encoder_0").strides = (1, 1)
    assert error(folded, images, features) > 0.1


@pytest.mark.parametrize("name", BUILDS)
def test_steps_of_fit(name):
    """Two of four images, and of a deep backbone one of eight, for a step of it takes seconds."""
    _, images, _ = built(name)
    model, steps = model_on(name, MEMBERS[name][0]), len(MEMBERS[name])
    as_made = model.get_weights()
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=name not in ("cnn", "vit"))
    before = model.network.get_weights()
    history = model.fit(images[:8], np.arange(8) % 4, batch_size=8 // steps, verbose=0).history
    assert np.isfinite(history["loss"][0]) and int(model.step.numpy()) == steps
    changed = [
        np.any(old != new) for old, new in zip(before, model.network.get_weights(), strict=True)
    ]
    assert np.mean(changed) > 0.8  # some gradients are too small to show in a step of 1e-3
    assert np.all(np.isfinite(model.predict(images[:2], verbose=0)))
    model.set_weights(as_made)


def test_a_folded_backbone_is_the_plain_network():
    backbone, images, _ = built("MobileNetV3Small")
    folded = folded_on("MobileNetV3Small", 2)
    plain = mixmo_tf.MixMo(from_backbone(backbone, 1, 5))
    assert folded.count_params() == backbone.count_params() + 5 * (backbone.output_shape[-1] + 1)
    assert operations(folded) == operations(plain)
    fused = fold(plain, fuse_batch_norm=True)
    assert operations(fused).total() < operations(plain).total()
    np.testing.assert_allclose(fused(images), plain(images), atol=1e-5)


def test_an_activation_moves_behind_the_mixing():
    """relu(2·(m_0 c_0(x_0) + m_1 c_1(x_1))), each c_i half of the backbone's."""
    backbone = cnn()
    network = from_backbone(backbone, 2, 4)
    kernel, bias = backbone.get_layer("first").get_weights()
    for encoder in parts.encoders(network):
        assert_same(encoder.get_weights(), [kernel / 2, bias / 2])
        assert encoder.activation is keras.activations.linear
    behind = network.get_layer("first_activation").output
    first, second = np.random.default_rng(1).normal(size=(2, 3, 16, 16, 3)).astype(np.float32)
    mask = np.random.default_rng(2).random((3, 7, 7, 1)).astype(np.float32)
    masks = np.concatenate([mask, 1 - mask], axis=-1)
    seed = tf.zeros(2, tf.int32)
    found = keras.Model(network.input, behind)(
        parts.inputs(list(map(tf.constant, (first, second))), tf.constant(masks), seed)
    )
    convolve = functools.partial(tf.nn.conv2d, filters=kernel, strides=2, padding="VALID")
    mixed = mask * (convolve(first) + bias) + (1 - mask) * (convolve(second) + bias)
    np.testing.assert_allclose(found, np.maximum(mixed, 0), atol=1e-5)


def test_the_cut_and_the_features_are_where_one_says():
    backbone, images, _ = built("cnn")
    network = from_backbone(backbone, 3, 4, split_at="norm", features_at="sum")
    model = mixmo_tf.MixMo(network)
    assert network.get_layer("encoder_1_first").activation is keras.activations.relu
    assert network.get_layer("pool").input.shape == (None, 7, 7, 8)
    pixels = augmentation.normalise(images, model.mean, model.std)
    masks = draws.even_masks(len(images), 3, model.mask_size)
    given = parts.inputs([pixels] * 3, masks, tf.zeros(2, tf.int32))
    theirs = keras.Model(backbone.input, backbone.get_layer("sum").output)(pixels)
    np.testing.assert_allclose(
        features_of(network)(given), tf.reduce_mean(theirs, axis=[1, 2]), atol=1e-5
    )
    with pytest.raises(ValueError, match="encoder_0 of cnn is not linear: it cannot be folded"):
        fold(model)


def test_one_place_pools():
    for name in ("cnn", "MobileNetV3Small"):
        network = model_on(name, 2).network
        assert isinstance(network.get_layer("pool"), layers.GlobalAveragePooling2D)
        assert len(network.get_layer("pool").input.shape) == 4


def test_a_top_of_convolutions_is_a_top_too():
    backbone = keras.applications.MobileNetV3Small((32, 32, 3), 0.35, weights=None, classes=7)
    network = from_backbone(backbone, 2, 4)
    (features,) = {id(head.input) for head in parts.heads(network)}
    assert parts.heads(network)[0].input.shape == (None, 1024) and features
    names = [layer.name for layer in network.layers]
    assert "conv_2" in names and "logits" not in names


def test_open_sizes_grey_images_and_nested_models():
    inner = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(6, 3, name="conv"), layers.ReLU(name="relu")]
    )
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(5, 1, name="conv")(inner(layers.Rescaling(1 / 255)(image)))
    backbone = keras.Model(image, x, name="open")
    for shape in ((12, 10, 3), (9, 16, 1)):
        model = mixmo_tf.MixMo(from_backbone(backbone, 3, 4, image_shape=shape))
        images = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.uint8)
        assert model.mask_size == (shape[0] - 2, shape[1] - 2)
        colours = np.repeat(images, 3, axis=-1) if shape[2] == 1 else images
        theirs = tf.reduce_mean(backbone(colours), axis=[1, 2])
        assert error(fold(model), images, theirs) < 1e-6
    with pytest.raises(ValueError, match="image_shape must be given, .*: open takes any size"):
        from_backbone(backbone, 2, 4)
    with pytest.raises(
        ValueError, match=r"image_shape must fit \(None, None, 3\), .* got \(8, 8, 4"
    ):
        from_backbone(backbone, 2, 4, image_shape=(8, 8, 4))
    with pytest.raises(ValueError, match="conv of open cannot take what comes of images of 2×2×3"):
        from_backbone(backbone, 2, 4, image_shape=(2, 2, 3))


def test_an_adapted_normalisation_is_kept(tmp_path):
    image = keras.Input((16, 16, 3))
    normalise = layers.Normalization()
    normalise.adapt(IMAGES.astype(np.float32))
    x = layers.Conv2D(4, 3, use_bias=False)(normalise(image))
    backbone = keras.Model(image, x, name="adapted")
    model = mixmo_tf.MixMo(from_backbone(backbone, 2, 4))
    theirs = tf.reduce_mean(backbone(IMAGES), axis=[1, 2])
    model.save(tmp_path / "model.keras")
    for each in (model, mixmo_tf.load(tmp_path / "model.keras")):
        assert each.mean == (0, 0, 0) and each.std == (1 / 255,) * 3
        assert error(fold(each), IMAGES, theirs) < 1e-5


def test_the_backbone_stays_as_it_is():
    backbone = cnn()
    before, config = backbone.get_weights(), backbone.get_config()
    model = mixmo_tf.MixMo(from_backbone(backbone, 2, 4))
    model.compile("sgd", run_eagerly=True)
    model.fit(IMAGES, np.arange(8) % 4, batch_size=8, verbose=0)
    assert_same(backbone.get_weights(), before)
    assert backbone.get_config() == config
    frozen = cnn()
    frozen.trainable = False
    assert len(from_backbone(frozen, 2, 4).trainable_variables) == 4  # the heads'
