"""Networks made of any Keras model: at first the backbone's own features, then trained as MixMo."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from backbones import (
    CONV,
    IMAGES,
    application,
    cnn,
    features_of,
    model_of,
    photographs,
    settled,
    short_convnext,
    short_efficientnet,
    short_resnet_v2,
    vit,
)
from small_models import assert_same, two_replicas
from test_fold import operations

import mixmo_tf
from mixmo_tf import augmentation, draws, networks
from mixmo_tf.deployment import fold
from mixmo_tf.networks import from_backbone, parts

layers = keras.layers
BUILDS = {
    "MobileNetV3Small": functools.partial(application, "MobileNetV3Small"),
    "EfficientNetV2": short_efficientnet,
    "ResNetV2": short_resnet_v2,
    "ConvNeXt": short_convnext,
    "cnn": cnn,
    "vit": vit,
}
RESCALE = ("MobileNetV3Small", "EfficientNetV2", "ConvNeXt", "vit")


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
    """A MixMo on a network of a backbone."""
    return mixmo_tf.MixMo(from_backbone(built(name)[0], num_members, 5), batch_repetitions=1)


def error(folded, images, features):
    """The largest difference of a folded model's features, of the largest feature."""
    pixels = augmentation.normalise(images, folded.mean, folded.std)
    ours = np.array(features_of(folded.network)(parts.inputs([pixels])))
    return np.abs(ours - features).max() / np.abs(features).max()


@pytest.mark.parametrize("num_members", [2, 3])
@pytest.mark.parametrize("name", BUILDS)
def test_the_folded_features_are_the_backbones(name, num_members):
    _, images, features = built(name)
    assert np.abs(features).max() > 0.01  # fresh statistics would make anything pass
    model = model_on(name, num_members)
    assert parts.rescales(model.network) == (name in RESCALE)
    assert error(fold(model), images, features) < 1e-4


def test_a_wrong_rescaling_or_stride_shows():
    backbone, images, features = built("MobileNetV3Small")
    model = mixmo_tf.MixMo(from_backbone(backbone, 2, 5), mean=(0.5,) * 3, std=(0.5,) * 3)
    assert error(fold(model), images, features) > 0.1  # normalised twice
    folded = fold(model_on("MobileNetV3Small", 2))
    folded.network.get_layer("encoder_0").strides = (1, 1)
    assert error(folded, images, features) > 0.1


@pytest.mark.parametrize("name", BUILDS)
def test_two_steps_of_fit(name):
    _, images, _ = built(name)
    model = model_on(name, 2)
    as_made = model.get_weights()
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=name not in ("cnn", "vit"))
    before = model.network.get_weights()
    history = model.fit(images[:8], np.arange(8) % 4, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"][0]) and int(model.step.numpy()) == 2
    changed = [
        np.any(old != new) for old, new in zip(before, model.network.get_weights(), strict=True)
    ]
    assert np.mean(changed) > 0.8  # some gradients are too small to show in a step of 1e-3
    assert np.all(np.isfinite(model.predict(images[:2], verbose=0)))
    model.set_weights(as_made)


def test_a_folded_backbone_is_the_plain_network():
    backbone, images, _ = built("MobileNetV3Small")
    folded = fold(mixmo_tf.MixMo(from_backbone(backbone, 2, 5)))
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
    for backbone in (cnn(), application("MobileNetV3Small", alpha=0.35)):
        network = from_backbone(backbone, 2, 4)
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
    model.compile("sgd")
    model.fit(IMAGES, np.arange(8) % 4, batch_size=4, verbose=0)
    assert_same(backbone.get_weights(), before)
    assert backbone.get_config() == config
    frozen = cnn()
    frozen.trainable = False
    assert len(from_backbone(frozen, 2, 4).trainable_variables) == 4  # the heads'


def random_model(seed=0, **options):
    keras.utils.set_random_seed(0)
    model = mixmo_tf.MixMo(from_backbone(cnn(), 2, 4), seed=seed, batch_repetitions=1)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), **options)
    return model


def test_a_run_that_goes_on_drops_what_it_would_have_dropped(tmp_path):
    labels = np.arange(8) % 4
    model = random_model()
    start = model.state()
    model.fit(IMAGES, labels, batch_size=4, epochs=2, verbose=0)
    whole = model.get_weights()
    model.set_state(start)
    model.fit(IMAGES, labels, batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / "part.keras")
    keras.utils.set_random_seed(5)
    again = keras.saving.load_model(tmp_path / "part.keras")
    again.fit(IMAGES, labels, batch_size=4, epochs=2, initial_epoch=1, verbose=0)
    assert_same(again.get_weights(), whole)


def test_what_is_dropped_is_the_steps_and_the_replicas_own():
    model = random_model()
    members, masks = (
        [tf.constant(IMAGES / np.float32(255))] * 2,
        draws.even_masks(8, 2, model.mask_size),
    )
    forward = functools.partial(model.forward, members, masks)
    first = forward(True, seed=tf.constant([1, 2]))
    np.testing.assert_array_equal(first, forward(True, seed=tf.constant([1, 2])))
    assert np.any(first != forward(True, seed=tf.constant([1, 3])))
    np.testing.assert_array_equal(forward(False), forward(False, seed=tf.constant([1, 3])))
    with two_replicas().scope():
        model = random_model()
    model.fit(IMAGES, np.arange(8) % 4, batch_size=4, verbose=0)
    assert int(model.step.numpy()) == 2


def test_xla_drops_the_same():
    backbone = model_of(CONV(), layers.SpatialDropout2D(0.5), layers.GaussianNoise(0.1))
    model = mixmo_tf.MixMo(from_backbone(backbone, 2, 4), batch_repetitions=1)
    model.compile("sgd")
    step = IMAGES, tf.constant(np.arange(8) % 4), None, tf.constant([1, 2]), 0.5
    value, *_, gradients = model.loss_and_gradients(*step)
    compiled = tf.function(model.loss_and_gradients, jit_compile=True)(*step)
    assert float(compiled[0]) == pytest.approx(float(value), rel=1e-5)
    for ours, theirs in zip(compiled[-1], gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    networks.set_precision(model.network, "mixed_bfloat16")
    in_16_bits, *_ = model.loss_and_gradients(*step)
    assert float(in_16_bits) == pytest.approx(float(value), rel=0.03)


def test_the_regularisers_penalties_join_the_loss():
    """l2 of 0.01 on both encoders' kernels, which is twice 0.01·Σ(W/2)²; and an `add_loss`."""

    @keras.saving.register_keras_serializable(package="test_backbone")
    class Busy(layers.Layer):
        def call(self, x):
            self.add_loss(tf.reduce_sum(x) * 0 + 5.0)
            return x

    backbone = cnn()
    image = keras.Input((16, 16, 3))
    wrapped = keras.Model(image, Busy()(backbone(image)), name="busy")
    for each, added in ((backbone, 0.0), (keras.Model(image, wrapped.output), 5.0)):
        at = "features" if not added else None
        network = from_backbone(each, 2, 4, features_at=at)
        model = mixmo_tf.MixMo(network, l2=0.5)
        model.compile("sgd")
        members, masks = [tf.constant(IMAGES / np.float32(255))] * 2, draws.even_masks(8, 2, (7, 7))
        model.forward(members, masks, training=True)
        squares = sum(np.sum(np.square(w)) for w in model.trainable_variables)
        (kernel, _) = backbone.get_layer("first").get_weights()
        expected = 7 + 0.5 * squares + 2 * 0.01 * np.sum(np.square(kernel / 2)) + added
        assert float(model.objective(tf.constant(7.0))) == pytest.approx(expected, rel=1e-6)


def test_heads_see_an_unmixed_map_of_which_as_much_is_dropped():
    last = layers.Conv2D(5, 3, name="last")
    backbone = model_of(CONV(kernel_regularizer="l2"), layers.SpatialDropout2D(0.5), last)
    network = from_backbone(backbone, 2, 4)
    model = mixmo_tf.MixMo(network, unmixing="full", batch_repetitions=1)
    model.compile("sgd")

    images = [tf.constant(IMAGES / np.float32(255))] * 2
    masks, fade = draws.even_masks(8, 2, model.mask_size), tf.constant(1.0)
    first, again, other = (
        model._unmixed(images, masks, fade, tf.constant([0, seed])) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    labels = tf.constant(np.arange(8) % 4)
    value, *_, gradients = model.loss_and_gradients(
        IMAGES, labels, None, tf.constant([0, 1]), 0.5, fade
    )
    assert np.isfinite(value) and all(np.all(np.isfinite(each)) for each in gradients)
