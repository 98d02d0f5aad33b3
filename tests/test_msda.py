import numpy as np
import pytest
import tensorflow as tf
from small_models import ONE_MEMBER, tiny_model, tiny_network

import mixmo_tf
from mixmo_tf import msda, seeds

LEFT, RIGHT = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
LEFT[:, :2] = 1
RIGHT[:, 2:] = 1


def under_mixing(own, seen):
    """λ' and the mask m of member 0 of two, from m (H, W) and what the member sees (h, w)."""
    masks = np.stack([seen, 1 - seen], axis=-1)[None]
    msda_masks = np.stack([own, np.ones_like(own)])[None]
    masks_after, ratio = msda.under_mixing(tf.constant(msda_masks), tf.constant(masks))
    assert ratio[0, 1] == 1  # member 1 is not mixed
    return float(ratio[0, 0]), masks_after[0, 0].numpy()


def test_boxes_that_overlap_fully():
    ratio, mask = under_mixing(LEFT, LEFT)  # of the member's image, all that is seen is its own
    assert ratio == 1
    np.testing.assert_array_equal(mask, LEFT)


def test_boxes_that_do_not_overlap():
    ratio, mask = under_mixing(LEFT, RIGHT)  # only the partner is seen: they swap places
    assert ratio == 1
    np.testing.assert_array_equal(mask, RIGHT)


def test_boxes_that_overlap_partly():
    seen = np.zeros((4, 4), np.float32)
    seen[:2, :3] = 1  # six pixels, four of them in LEFT
    ratio, mask = under_mixing(LEFT, seen)
    assert ratio == pytest.approx(4 / 6)
    np.testing.assert_array_equal(mask, LEFT)
    ratio, mask = under_mixing(RIGHT, seen)  # two of the six: they swap places
    assert ratio == pytest.approx(4 / 6)
    np.testing.assert_array_equal(mask, LEFT)


def test_mixup_keeps_its_ratio_under_any_mask():
    for seen in (LEFT, np.full((4, 4), 0.3, np.float32)):
        ratio, _ = under_mixing(np.full((4, 4), 0.8, np.float32), seen)
        assert ratio == pytest.approx(0.8)
        ratio, mask = under_mixing(np.full((4, 4), 0.2, np.float32), seen)
        assert ratio == pytest.approx(0.8)
        np.testing.assert_allclose(mask, 0.8)


def test_a_linear_mask_sees_the_mean():
    own = np.ones((4, 4), np.float32)
    own[0, 0] = 0
    ratio, _ = under_mixing(own, np.full((4, 4), 0.25, np.float32))
    assert ratio == pytest.approx(15 / 16)


def test_a_member_that_sees_nothing_has_the_mean_too():
    own = np.ones((4, 4), np.float32)
    own[0] = 0
    ratio, _ = under_mixing(own, np.zeros((4, 4), np.float32))
    assert ratio == pytest.approx(12 / 16)


def test_an_encoder_of_half_the_size():
    seen = np.array([[1, 0], [0, 0]], np.float32)  # the upper left 2×2 pixels
    own = np.zeros((4, 4), np.float32)
    own[:, 0] = own[0, 1] = 1  # three of these four
    ratio, mask = under_mixing(own, seen)
    assert ratio == pytest.approx(3 / 4)
    np.testing.assert_array_equal(mask, own)


def test_an_odd_size_and_its_half():
    own = np.zeros((5, 5), np.float32)
    own[:, 4] = 1
    seen = np.zeros((3, 3), np.float32)
    seen[:, 2] = 1
    ratio, _ = under_mixing(own, seen)
    assert ratio == 1


def test_a_plain_network_has_no_correction():
    own = np.zeros((1, 1, 4, 4), np.float32)
    own[..., :1] = 1
    mask, ratio = msda.under_mixing(tf.constant(own), tf.ones([1, 1, 1, 1]))
    assert ratio.numpy() == [[0.25]]
    np.testing.assert_array_equal(mask, own)


def test_images_and_labels_by_hand():
    images = tf.fill([1, 1, 4, 4, 3], 10.0)
    mixed = msda.mix(images, images + 5, LEFT[None, None]).numpy()
    assert (mixed[0, 0, :, :2] == 10).all() and (mixed[0, 0, :, 2:] == 15).all()
    labels = msda.mix_labels(([[2, 1]], None), ([[0, 1]], None), tf.constant([[0.75, 0.6]]), 3)
    np.testing.assert_allclose(labels, [[[0.25, 0, 0.75], [0, 1, 0]]])


@pytest.fixture(scope="module")
def drawn():
    """The CutMix of 2,000 rows, two members, on 16 distinct images."""
    rows = tf.repeat(tf.range(16), 125)[:, None] + tf.constant([[0, 0]])
    return rows, msda.draw("cutmix", rows, 16, (8, 8), "crop_flip", [1, 2])


def test_partners_are_other_images_each_as_often(drawn):
    rows, partners = drawn
    distance = (partners.views.rows - rows).numpy() % 16
    counts = np.bincount(distance.ravel(), minlength=16)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / 4000, 1 / 15, atol=0.015)


def test_half_of_the_images_are_mixed(drawn):
    whole = (drawn[1].masks.numpy() == 1).all(axis=(2, 3))
    assert whole.mean() == pytest.approx(0.5, abs=0.03)


def test_partners_are_augmented_on_their_own(drawn):
    views = drawn[1].views
    assert len(np.unique(views.offsets)) == 9 and 0.45 < np.mean(views.flips) < 0.55


def test_mixup_draws_a_uniform_ratio():
    partners = msda.draw("mixup", tf.zeros([4000, 1], tf.int32), 5, (2, 3), "none", [3, 4])
    masks = partners.masks.numpy()
    assert masks.shape == (4000, 1, 2, 3) and (masks == masks[..., :1, :1]).all()
    ratio = masks[masks[..., 0, 0] < 1][:, 0, 0]
    np.testing.assert_allclose(np.quantile(ratio, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.05)


@pytest.mark.parametrize("name", msda.NAMES)
@pytest.mark.parametrize("num_members", [1, 2, 3])
def test_a_label_vector_says_what_its_member_sees(name, num_members):
    """Of images that are as bright as their label, the mean of all pixels that are let through."""
    labels = tf.range(40) % 4
    images = tf.cast(tf.broadcast_to(labels[:, None, None, None], (40, 16, 16, 3)), tf.uint8)
    model = tiny_model(
        num_members=num_members, msda=name, batch_repetitions=2, augmentation="none",
        mean=(0, 0, 0), std=(1 / 255,) * 3,
    )  # fmt: skip
    step = model.draw(40, seeds.step_seed(0, 1), 1.0)
    members, vectors, _ = model.members_of(images, labels, None, step)
    members, vectors = members.numpy(), vectors.numpy()
    assert members.shape == (80, num_members, 16, 16, 3)
    seen = np.ones((80, num_members, 16, 16))
    if num_members > 1:
        seen = np.moveaxis(step.masks.numpy(), -1, 1)
        seen[seen.sum(axis=(2, 3)) == 0] = 1  # where nothing is: all of it
    brightness = (seen * members[..., 0]).sum(axis=(2, 3)) / seen.sum(axis=(2, 3))
    np.testing.assert_allclose(vectors @ np.arange(4), brightness, atol=1e-4)

    np.testing.assert_allclose(vectors.sum(axis=-1), 1, atol=1e-6)
    of_own, of_partner = (
        np.take_along_axis(vectors, labels.numpy()[views.rows][..., None], axis=2)[..., 0]
        for views in (step.views, step.partners.views)
    )
    assert (vectors > 1e-6).sum(axis=-1).max() == 2
    assert (of_own + of_partner > 1 - 1e-6).all()  # no other label
    assert (of_own > 0.5 - 1e-6).all() == (num_members > 1)  # a plain network has no correction
    mixed = (vectors.max(axis=-1) < 1 - 1e-6).mean()
    assert 0.1 < mixed < 0.5  # half of the images, less those whose partner has their label


def test_label_vectors_in_the_weighted_loss():
    model = tiny_model(weight_root=1.0)
    logits = np.log([[[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]]).astype(np.float32)
    masks = np.full((1, 2, 2, 2), 0.5, np.float32)
    vectors = np.array([[[0.75, 0.25, 0, 0], [0, 0, 0, 1]]], np.float32)
    by_hand = -0.75 * np.log(0.5) - 0.25 * np.log(0.25) - np.log(0.4)
    assert float(model.weighted_loss(logits, vectors, masks)) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("num_members", [1, 2])
def test_sample_weights_of_zero_hide_labels(num_members, pixels_and_labels):
    images, labels = map(tf.constant, pixels_and_labels)
    hidden = labels == 2
    weights = tf.where(hidden, 0.0, 1.5)
    model = tiny_model(num_members=num_members, msda="cutmix")
    seed = seeds.step_seed(0, 1)
    losses = [
        model.loss_and_gradients(images, tf.where(hidden, label, labels), weights, seed, 0.5)[0]
        for label in (0, 3)
    ]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-6)
    unweighted, weighted = (
        model.loss_and_gradients(images, labels, w, seed, 0.5)[0]
        for w in (None, tf.fill([40], 1.5))
    )
    assert float(weighted) == pytest.approx(1.5 * float(unweighted), rel=1e-5)


@pytest.mark.parametrize("name, num_members", [("mixup", 1), ("cutmix", 2)])
def test_training_learns(name, num_members, pixels_and_labels):
    images, labels = pixels_and_labels
    model = tiny_model(
        num_members=num_members, msda=name, alpha=0.0, augmentation="none", learning_rate=0.1
    )
    model.fit(images, labels, batch_size=8, epochs=16, verbose=0)
    assert model.evaluate(images, labels, verbose=0, return_dict=True)["accuracy"] > 0.7


def test_xla_shows_and_asks_the_same(pixels_and_labels):
    """Without ratios to draw, which take XLA long; test_ratios compiles them."""
    images, labels = map(tf.constant, pixels_and_labels)
    model = tiny_model(msda="cutmix", alpha=0.0)

    def step(seed):
        drawn = model.draw(40, seed, 0.5)
        return model.members_of(images, labels, None, drawn)[:2]

    seed = seeds.step_seed(0, 1)
    for ours, theirs in zip(step(seed), tf.function(step, jit_compile=True)(seed), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_an_unknown_name_and_a_lonely_image(pixels_and_labels):
    with pytest.raises(ValueError, match="msda must be one of mixup, cutmix, got 'cutmux'"):
        mixmo_tf.MixMo(tiny_network(), msda="cutmux")
    with pytest.raises(ValueError, match="msda must be one of mixup, cutmix, got 'cutmux'"):
        msda.draw("cutmux", tf.zeros([1, 1], tf.int32), 2, (4, 4), "none", [0, 0])
    images, labels = pixels_and_labels
    model = tiny_model(msda="cutmix", **ONE_MEMBER)
    with pytest.raises(ValueError, match="msda needs two images or more in a step"):
        model.fit(images, labels, batch_size=1, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(1)
    with pytest.raises(ValueError, match="^msda needs two images or more [^\\n]*$"):
        model.fit(dataset, verbose=0)


def test_an_encoder_without_padding_sees_a_map_that_divides_no_image():
    """Seven pixels as five: each of the map is the mean of 7/5, the third that of 2.8 to 4.2."""
    own = np.zeros((1, 2, 7, 7), np.float32)
    own[..., 3:] = 1
    seen = np.zeros((1, 5, 5, 2), np.float32)
    seen[:, :, 2, 0] = 1
    seen[..., 1] = 1 - seen[..., 0]
    _, ratio = msda.under_mixing(tf.constant(own), tf.constant(seen))
    np.testing.assert_allclose(ratio, [[1.2 / 1.4, 0.5]], rtol=1e-6)
