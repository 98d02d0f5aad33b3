"""Unmixing: heads that see the core's map through their members' masks."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    assert_same,
    assert_same_on_replicas,
    tiny_network,
    two_replicas,
)

import mixmo_tf
from mixmo_tf import deployment, networks, seeds, unmixing

SEED = seeds.step_seed(0, 0, 0)


@pytest.fixture(scope="module")
def batch(pixels_and_labels):
    images, labels = pixels_and_labels
    return tf.constant(images[:8]), tf.constant(labels[:8]), None, SEED


def largest(arrays, others):
    return max(float(np.abs(a - b).max()) for a, b in zip(arrays, others, strict=True))


def test_a_map_of_2_by_2_by_hand():
    feature_map = np.float32([[[[1, 10], [2, 20]], [[3, 30], [4, 40]]]])  # (1, 2, 2, 2)
    mask = np.float32([[[1, 0], [0, 1]]])
    masks = np.stack([mask, 1 - mask], axis=-1)
    for fade, first, second in (
        (0.0, (1 + 4) / 4, (2 + 3) / 4),
        (0.5, (1 + 0.5 * 2 + 0.5 * 3 + 4) / 4, (0.5 * 1 + 2 + 3 + 0.5 * 4) / 4),
        (1.0, 2.5, 2.5),
    ):
        seen = unmixing.pool(tf.constant(feature_map), tf.constant(masks), fade)
        np.testing.assert_allclose(seen, [[[u, 10 * u]] for u in (first, second)], rtol=1e-6)


def test_masks_of_three_members_of_a_linear_batch():
    """Constant masks scale the plain mean by κ_i + m·(1 − κ_i)."""
    feature_map = np.random.default_rng(0).normal(size=(1, 3, 2, 4)).astype(np.float32)
    kappa = np.float32([0.5, 0.2, 0.3])
    masks = np.broadcast_to(kappa, (1, 6, 5, 3))
    seen = unmixing.pool(tf.constant(feature_map), tf.constant(masks), tf.constant(0.25))
    mean = feature_map.mean(axis=(1, 2))
    by_hand = [(k + 0.25 * (1 - k)) * mean for k in kappa]
    np.testing.assert_allclose(seen, by_hand, atol=1e-6)


@pytest.mark.parametrize("block", mixmo_tf.masks.NAMES)
def test_every_block_and_any_number_of_members(block):
    """Of the mask's size the map is weighted as it is, and all members see all of it."""
    feature_map = np.random.default_rng(0).random((4, 9, 6, 2)).astype(np.float32)
    kappa = mixmo_tf.ratios.draw(4, 3, 2.0, [0, 1])
    masks = mixmo_tf.masks.draw(block, kappa, (9, 6), [0, 2]).numpy()
    seen = np.array(unmixing.pool(tf.constant(feature_map), tf.constant(masks), 0.0))
    by_hand = np.einsum("bhwc,bhwm->mbc", feature_map, masks) / 54
    np.testing.assert_allclose(seen, by_hand, atol=1e-5)
    np.testing.assert_allclose(seen.sum(axis=0), feature_map.mean(axis=(1, 2)), atol=1e-5)


@pytest.mark.parametrize(
    "size, rows, columns",
    [
        ((2, 2), (0, 2), (0, 3)),  # ⌊i'·5/2⌋, ⌊j'·7/2⌋
        ((3, 4), (0, 1, 3), (0, 1, 3, 5)),
        ((8, 7), (0, 0, 1, 1, 2, 3, 3, 4), range(7)),
    ],
)
def test_masks_are_resized_by_the_rule(size, rows, columns):
    masks = np.random.default_rng(0).random((2, 5, 7, 3))
    resized = unmixing.resize(tf.constant(masks), size)
    np.testing.assert_array_equal(resized, masks[:, rows][:, :, columns])


def test_gradients_are_those_of_small_steps():
    random = np.random.default_rng(0)
    masks = tf.constant(random.integers(0, 2, (2, 4, 6, 2)).astype(np.float64))
    labels, weights = tf.constant([[0, 2], [1, 1]]), tf.constant(random.random((2, 2)))

    def loss(feature_map, kernels):
        seen = unmixing.pool(feature_map, masks, 0.25)
        logits = tf.stack([seen[i] @ kernels[i] for i in range(2)], axis=1)
        terms = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_sum(weights * terms)

    given = [tf.constant(random.normal(size=shape)) for shape in ((2, 2, 3, 4), (2, 4, 3))]
    ours, numerical = tf.test.compute_gradient(loss, given)
    assert largest(ours, numerical) < 1e-7 and min(np.abs(g).max() for g in ours) > 1e-3


def test_the_fade_by_hand():
    fade = mixmo_tf.UnmixingFade(120)
    np.testing.assert_allclose([fade(t) for t in (0, 10, 20, 40, 41, 120)], [0, 0.25, 0.5, 1, 1, 1])
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(fade))
    assert isinstance(copy, mixmo_tf.UnmixingFade) and copy.get_config() == {"total_steps": 120}
    with pytest.raises(ValueError, match="total_steps must be >= 1, got 0"):
        mixmo_tf.UnmixingFade(0)
    steps = [unmixing.fade_at(how, tf.constant(30)) for how in (None, "full", fade)]
    assert steps == [None, 0.0, 0.75]


@pytest.mark.parametrize("precision", networks.precision.PRECISIONS)
@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_a_fade_of_1_is_the_plain_loss_bit_for_bit(precision, probability, batch):
    models = []
    for how in (None, "full"):
        keras.utils.set_random_seed(0)
        models.append(mixmo_tf.MixMo(tiny_network(), unmixing=how, augmentation="none"))
        networks.set_precision(models[-1].network, precision)
        models[-1].compile("sgd")
    plain, ours = models
    loss, *_, gradients = plain.loss_and_gradients(*batch, probability)
    same, *_, same_gradients = ours.loss_and_gradients(*batch, probability, tf.constant(1.0))
    assert float(loss) == float(same)
    scale = max(np.abs(g).max() for g in gradients)
    assert largest(gradients, same_gradients) <= scale * (1e-6 if precision == "float32" else 0.02)
    assert_same(plain.statistics(), ours.statistics())
    unmixed, *_ = ours.loss_and_gradients(*batch, probability, tf.constant(0.0))
    assert abs(float(unmixed - loss)) > 1e-3


def test_each_head_sees_its_member_s_part(batch):
    """The step's logits, from the map and the weights of the heads, on a map that is smaller."""

    def encoder(member, image):
        return keras.layers.Conv2D(4, 3, padding="same", name=f"encoder_{member}")(image)

    def core(x):
        return keras.layers.Conv2D(5, 3, strides=2, padding="same", name="core")(x)

    network = networks.build("own", encoder, core, 3, 4, (16, 16, 3), "he_normal")
    model = mixmo_tf.MixMo(network, unmixing="full", batch_repetitions=1)
    masks = model.draw(2, SEED, 1.0).masks
    images = [tf.random.stateless_uniform([2, 16, 16, 3], [0, i]) for i in range(3)]
    logits = networks.unmixed.forward(network)(images, masks, tf.constant(0.25))
    encoded = [network.get_layer(f"encoder_{i}")(images[i]) for i in range(3)]
    feature_map = network.get_layer("core")(network.get_layer("mixing")(encoded, masks))
    for i in range(3):
        seen = masks[:, ::2, ::2, i : i + 1]
        u = tf.reduce_mean(feature_map * (seen + 0.25 * (1 - seen)), axis=[1, 2])
        head = network.get_layer(f"head_{i}")
        np.testing.assert_allclose(logits[:, i], u @ head.kernel + head.bias, atol=1e-5)
    plain = network({**dict(zip(network.input, images, strict=False)), "masks": masks})
    assert np.abs(logits - plain).max() > 0.01


def test_nothing_else_changes(tmp_path, pixels_and_labels):
    """Weights and their paths, what a file holds, predictions, and the folded network."""
    images, _ = pixels_and_labels
    network = tiny_network()
    plain, ours = (mixmo_tf.MixMo(network, unmixing=how, name="m") for how in ("none", "full"))
    assert (plain.unmixing, ours.unmixing) == (None, "full")
    assert [v.path for v in plain.variables] == [v.path for v in ours.variables]
    inside = []
    for model in (plain, ours):
        model.save(tmp_path / "x.keras")
        with zipfile.ZipFile(tmp_path / "x.keras") as file:
            inside.append(file.getinfo("model.weights.h5").file_size)
    assert inside[0] == inside[1]
    np.testing.assert_array_equal(plain.member_logits(images), ours.member_logits(images))
    np.testing.assert_allclose(deployment.fold(ours)(images), plain(images), atol=1e-5)


def test_xla_computes_the_same():
    network = tiny_network(image_shape=(8, 8, 3))
    forward = networks.unmixed.forward(network)
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=(2, 3, 8, 8, 3)).astype(np.float32))
    masks = mixmo_tf.masks.draw("cutmix", tf.fill([3, 2], 0.5), (8, 8), SEED)

    def gradients(fade):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(forward(tf.unstack(images), masks, fade) ** 2)
        return loss, *tape.gradient(loss, network.trainable_variables)

    compiled = tf.function(gradients, autograph=False, jit_compile=True)
    assert largest(gradients(tf.constant(0.25)), compiled(tf.constant(0.25))) < 1e-5


def test_two_replicas_train_and_a_saved_run_goes_on(tmp_path, pixels_and_labels):
    """With the fade, which each replica takes from the step."""
    images, labels = pixels_and_labels
    with two_replicas().scope():
        fade = mixmo_tf.UnmixingFade(18)
        simple = {"augmentation": "none", "alpha": 0, "batch_repetitions": 1}
        model = mixmo_tf.MixMo(tiny_network(), unmixing=fade, mixing_probability=1.0, **simple)
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9))
    seen = []
    compute = model.compiled_loss_and_gradients
    model.compiled_loss_and_gradients = lambda *step: seen.append(step[-1]) or compute(*step)
    model.fit(images[:16], labels[:16], batch_size=8, epochs=2, verbose=0)
    assert_same_on_replicas(model)
    assert len(seen) >= 2 and all(fade.shape == () for fade in seen)
    model.save(tmp_path / "x.keras")
    with model.distribute_strategy.scope():
        loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.unmixing.total_steps == 18 and int(loaded.step.numpy()) == 4
    for each in (model, loaded):
        each.fit(images[:16], labels[:16], batch_size=8, verbose=0)
    assert_same(model.get_weights(), loaded.get_weights())


def test_a_backbone_that_averages_its_map(batch):
    """Its own pooling is the network's; what stands behind it, such as dropout, stays."""
    image = keras.Input((16, 16, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(image))
    x = keras.layers.GlobalAveragePooling2D(name="mean")(keras.layers.Conv2D(5, 3)(x))
    x = keras.layers.Activation("tanh")(keras.layers.Dropout(0.5)(x))
    backbone = keras.Model(image, keras.layers.Dense(6)(x), name="own")
    network = networks.from_backbone(backbone, 2, 4)
    weights, losses = network.get_weights(), []
    for how, *fade in ((None,), ("full", tf.constant(1.0)), ("full", tf.constant(0.0))):
        network.set_weights(weights)
        model = mixmo_tf.MixMo(network, unmixing=how)
        model.compile("sgd")
        losses.append(float(model.loss_and_gradients(*batch, 1.0, *fade)[0]))
    assert losses[0] == losses[1] != pytest.approx(losses[2], rel=1e-3)


def test_a_core_that_pools_itself_is_refused():
    def encoder(member, image):
        return keras.layers.Conv2D(4, 3, name=f"encoder_{member}")(image)

    for pool in (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D):
        core = lambda x, pool=pool: pool(name="inside")(x)  # noqa: E731
        network = networks.build("own", encoder, core, 2, 3, (8, 8, 3), "he_normal")
        mixmo_tf.MixMo(network)
        message = "unmixing needs .* the core of own pools itself, and ends with the layer inside"
        with pytest.raises(ValueError, match=message):
            mixmo_tf.MixMo(network, unmixing="full")


def test_bad_values_are_named():
    with pytest.raises(ValueError, match=r'unmixing must be "full", None or .*, got \'fade\''):
        mixmo_tf.MixMo(tiny_network(), unmixing="fade")
    for wrong in (mixmo_tf.UnmixingFade, np.zeros(3), 0.5):
        with pytest.raises(ValueError, match='unmixing must be "full", None or a schedule'):
            mixmo_tf.MixMo(tiny_network(), unmixing=wrong)
    with pytest.raises(ValueError, match="unmixing must be None for a network with M = 1, got 'fu"):
        mixmo_tf.MixMo(tiny_network(num_members=1), unmixing="full")
