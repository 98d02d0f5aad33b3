import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import masks, ratios


def test_cutmix_boxes_agree_with_the_reference(reference):
    boxes = reference("masks")
    drawn = masks.cutmix_boxes(
        tf.constant(boxes["cutmix/lam"], tf.float32),
        tf.constant(boxes["cutmix/centre"], tf.int32),
        (32, 32),
    )
    np.testing.assert_array_equal(drawn, boxes["cutmix/box_r0_c0_r1_c1"])


def test_box_by_hand_on_a_map_that_is_not_square():
    boxes = masks.cutmix_boxes(tf.constant([0.25]), tf.constant([[1, 5]]), (4, 8))
    np.testing.assert_array_equal(boxes, [[0, 3, 2, 7]])  # half sides ⌊2/2⌋ = 1 and ⌊4/2⌋ = 2
    by_hand = np.zeros((4, 8))
    by_hand[0:2, 3:7] = 1
    np.testing.assert_array_equal(masks.box_masks(boxes, (4, 8))[0], by_hand)


def test_visible_share_agrees_with_the_reference(reference):
    kappa = ratios.draw(20_000, 2, 2.0, [5, 6])[:, 0]
    share = tf.reduce_mean(masks.cutmix(kappa, (32, 32), [7, 8]), axis=[1, 2]).numpy()
    mean, std, *quantiles = reference("masks")["visible/cutmix/mean_std_q10_q50_q90"]
    assert share.mean() == pytest.approx(mean, abs=0.01)
    assert share.std() == pytest.approx(std, abs=0.01)
    np.testing.assert_allclose(np.quantile(share, [0.1, 0.5, 0.9]), quantiles, atol=0.02)


def test_linear_is_constant():
    kappa = tf.constant([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    drawn = masks.draw("linear", kappa, (3, 5), [0, 1])
    np.testing.assert_allclose(drawn, np.tile(kappa[:, None, None], (1, 3, 5, 1)), atol=1e-6)


@pytest.mark.parametrize("name", masks.NAMES)
@pytest.mark.parametrize("num_members", [2, 3, 4])
def test_masks_sum_to_one_and_members_share_alike(name, num_members):
    kappa = ratios.draw(4000, num_members, 2.0, [1, num_members])
    drawn = masks.draw(name, kappa, (8, 8), [2, num_members]).numpy()
    assert drawn.shape == (4000, 8, 8, num_members)
    assert drawn.min() >= 0
    np.testing.assert_allclose(drawn.sum(axis=-1), 1, atol=1e-6)
    shares = drawn.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(shares, 1 / num_members, atol=0.015)


def test_every_member_holds_the_patch_as_often():
    drawn = masks.draw("cutmix", tf.fill([9000, 3], 1 / 3), (8, 8), [3, 3]).numpy()
    holds = np.isin(drawn, [0, 1]).all(axis=(1, 2))  # the holder's mask alone is binary
    assert (holds.sum(axis=1) == 1).all()
    np.testing.assert_allclose(holds.mean(axis=0), 1 / 3, atol=0.02)


def test_the_others_share_the_complement_by_their_ratios():
    patch = tf.constant([[[1.0, 0.0]]])  # (1, 1, 2)
    shared = masks.share(patch, tf.constant([[0.0, 1, 0]]), tf.constant([[0.1, 0.6, 0.3]]))
    np.testing.assert_allclose(shared[0, 0], [[0, 1, 0], [0.25, 0, 0.75]], atol=1e-6)


def test_a_holder_with_all_of_the_ratio_leaves_no_nan():
    shared = masks.share(
        tf.zeros([1, 2, 2]), tf.constant([[1.0, 0, 0]]), tf.constant([[1.0, 0, 0]])
    )
    np.testing.assert_allclose(shared[0, 0, 0], [0, 0.5, 0.5])


def test_xla_draws_the_same():
    kappa = ratios.draw(32, 3, 2.0, [1, 1])
    compiled = tf.function(
        lambda seed: masks.draw("cutmix", kappa, (16, 16), seed), jit_compile=True
    )
    seed = tf.constant([9, 9])
    np.testing.assert_allclose(
        compiled(seed), masks.draw("cutmix", kappa, (16, 16), seed), atol=1e-6
    )


def test_an_unknown_block_is_named():
    with pytest.raises(ValueError, match="mixing must be one of linear, cutmix, got 'cutmax'"):
        masks.draw("cutmax", [[0.5, 0.5]], (4, 4), [0, 0])
