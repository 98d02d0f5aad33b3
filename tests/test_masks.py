import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import masks, ratios
from mixmo_tf.masks import boxes, cow, fmix, patchup


def test_cutmix_boxes_agree_with_the_reference(reference):
    published = reference("masks")
    drawn = boxes.cutmix_boxes(
        tf.constant(published["cutmix/lam"], tf.float32),
        tf.constant(published["cutmix/centre"], tf.int32),
        (32, 32),
    )
    np.testing.assert_array_equal(drawn, published["cutmix/box_r0_c0_r1_c1"])


def test_box_by_hand_on_a_map_that_is_not_square():
    box = boxes.cutmix_boxes(tf.constant([0.25]), tf.constant([[1, 5]]), (4, 8))
    np.testing.assert_array_equal(box, [[0, 3, 2, 7]])  # half sides ⌊2/2⌋ = 1 and ⌊4/2⌋ = 2
    by_hand = np.zeros((4, 8))
    by_hand[0:2, 3:7] = 1
    np.testing.assert_array_equal(boxes.box_masks(box, (4, 8))[0], by_hand)


def test_cow_agrees_with_the_reference(reference):
    published = reference("masks")
    noise, sigma, proportion = (
        published[f"cow/{name}"].astype(np.float32) for name in ("noise", "sigma", "proportion")
    )
    drawn = cow.cow_masks(tf.constant(noise), sigma, proportion)
    np.testing.assert_array_equal(drawn, published["cow/mask"])


def test_blur_is_the_convolution_on_maps_larger_than_its_kernel():
    image = np.zeros((1, 120, 7), np.float32)
    image[0, 60, 3] = 1
    blurred = cow.blur(tf.constant(image), tf.constant([16.0]))[0, :, 3].numpy()
    kernel = np.exp(-0.5 * (np.arange(-48, 49) / 16) ** 2)
    kernel /= kernel.sum()
    np.testing.assert_allclose(blurred[60 - 48 : 60 + 49] / blurred[60], kernel / kernel[48], 1e-5)
    assert (blurred[: 60 - 48] == 0).all() and (blurred[60 + 49 :] == 0).all()


def test_patchup_agrees_with_the_reference(reference):
    published = reference("masks")
    drawn = patchup.dilate(
        tf.constant(published["patchup/holes"]), int(published["patchup/block_size"])
    )
    np.testing.assert_array_equal(drawn, published["patchup/mask"])
    ratio, gamma = published["patchup/lam_gamma"].T
    np.testing.assert_allclose(patchup.seed_chance(ratio, (32, 32)), gamma, rtol=1e-6)


def test_patchup_covers_more_of_small_maps():
    """The chance of a seed is made for maps much larger than a hole."""
    shares = [
        float(tf.reduce_mean(patchup.draw(tf.fill([2000], 0.5), (size, size), [1, 2])))
        for size in (32, 16, 8)
    ]
    np.testing.assert_allclose(shares, [0.49, 0.63, 0.99], atol=0.02)


@pytest.mark.parametrize("size", [(3, 9), (2, 2), (6, 1)])
def test_patchup_on_a_map_smaller_than_its_holes(size):
    drawn = patchup.draw(tf.fill([500], 0.5), size, [1, 2]).numpy()
    assert drawn.shape == (500, *size)
    assert 0.2 < drawn.mean() < 0.8


def test_concat_borders_agree_with_the_reference(reference):
    published = reference("masks")
    ratio = tf.constant(published["concat/lam"], tf.float32)
    np.testing.assert_array_equal(boxes.concat_border(ratio, 32), published["concat/border"])


@pytest.mark.parametrize("name, axis", [("horizontal_concat", 2), ("vertical_concat", 1)])
def test_concat_is_one_straight_border_on_either_side(name, axis):
    ratio = tf.fill([400], 0.3)
    drawn = masks.BLOCKS[name].draw(ratio, (8, 10), [3, 4]).numpy()
    length = drawn.shape[axis]
    line = drawn.max(axis=3 - axis)
    assert (drawn == np.expand_dims(line, 3 - axis)).all()  # the same across the other axis
    first = line[:, 0] == 1
    assert 0.4 < first.mean() < 0.6
    on_first, on_last = np.zeros(length), np.zeros(length)
    on_first[: int(0.3 * length)] = 1  # ⌊κ·length⌋ pixels
    on_last[int(0.7 * length) :] = 1  # from ⌊(1 − κ)·length⌋ on
    assert (line[first] == on_first).all() and (line[~first] == on_last).all()


def test_fmix_covers_its_ratio_to_a_pixel():
    ratio = ratios.draw(2000, 2, 2.0, [1, 2])[:, 0]
    covered = fmix.draw(ratio, (9, 16), [3, 4]).numpy().sum(axis=(1, 2))
    wanted = 144 * ratio.numpy()
    assert set(np.round(covered - np.floor(wanted))) == {0, 1}
    assert (covered == np.ceil(wanted)).mean() == pytest.approx(0.5, abs=0.05)
    for edge in (0.0, 1.0):
        assert (fmix.draw(tf.fill([50], edge), (9, 16), [5, 6]).numpy() == edge).all()


def test_the_largest_of_equal_values_are_the_first():
    values = tf.constant([[1.0, 3, 2, 3, 3], [1.0, 3, 2, 3, 3], [1.0, 3, 2, 3, 3]])
    chosen = fmix.largest(values, tf.constant([0, 2, 4]))
    np.testing.assert_array_equal(chosen, [[0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 1]])


def test_the_spectrum_of_fmix_falls_like_the_cube_of_the_frequency():
    noise = fmix.low_frequency_noise(300, (64, 64), [7, 8]).numpy()
    amplitude = np.sqrt((np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0))
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
    rest = frequency > 0
    slope = np.polyfit(np.log(frequency[rest]), np.log(amplitude[rest]), 1)[0]
    assert slope == pytest.approx(-3, abs=0.02)
    assert amplitude[0, 0] == pytest.approx(amplitude[0, 1], rel=0.2)  # 1/max(f, 1/W)


PUBLISHED = {
    "linear": "mixup",
    "cutmix": "cutmix",
    "patchup": "patchuphard2d",
    "fmix": "mixup",  # the share is κ, to a pixel
    "horizontal_concat": "stackhorizontal",
    "vertical_concat": "stackvertical",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_visible_share_agrees_with_the_reference(reference, name):
    kappa = ratios.draw(5_000, 2, 2.0, [5, 6])[:, 0]
    share = tf.reduce_mean(masks.BLOCKS[name].draw(kappa, (32, 32), [7, 8]), axis=[1, 2]).numpy()
    mean, std, *quantiles = reference("masks")[f"visible/{PUBLISHED[name]}/mean_std_q10_q50_q90"]
    assert share.mean() == pytest.approx(mean, abs=0.02)
    assert share.std() == pytest.approx(std, abs=0.02)
    np.testing.assert_allclose(np.quantile(share, [0.1, 0.5, 0.9]), quantiles, atol=0.035)


def test_visible_share_of_cow(reference):
    """The share is symmetric about 1/2, as noise and q are; the reference took 400 draws."""
    share = tf.reduce_mean(cow.draw(tf.zeros([20_000]), (32, 32), [7, 8]), axis=[1, 2]).numpy()
    mean, std, *_ = reference("masks")["visible/cow/mean_std_q10_q50_q90"]
    assert share.mean() == pytest.approx(0.5, abs=0.005)
    assert share.std() == pytest.approx(std, abs=0.02)
    assert share.mean() == pytest.approx(mean, abs=4 * std / np.sqrt(400))


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


@pytest.mark.parametrize("name", masks.NAMES)
def test_xla_draws_the_same(name):
    kappa = ratios.draw(32, 3, 2.0, [1, 1])
    compiled = tf.function(lambda seed: masks.draw(name, kappa, (16, 16), seed), jit_compile=True)
    seed = tf.constant([9, 9])
    drawn = masks.draw(name, kappa, (16, 16), seed)
    assert np.mean(np.abs(compiled(seed) - drawn) > 1e-6) < 0.001  # rounding moves few pixels


@pytest.mark.parametrize("name", masks.NAMES)
def test_rows_differ_and_a_seed_is_repeatable(name):
    kappa = ratios.draw(16, 2, 2.0, [1, 1])
    first, again, other = (
        masks.draw(name, kappa, (16, 16), seed) for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(np.reshape(first, (16, -1)), axis=0)) > 10  # borders may coincide


@pytest.mark.parametrize("name", masks.NAMES[1:])
def test_a_block_draws_zeros_and_ones(name):
    drawn = masks.BLOCKS[name].draw(tf.fill([20], 0.4), (10, 12), [1, 2]).numpy()
    assert set(np.unique(drawn)) == {0, 1}


def test_bad_blocks_are_named():
    known = ", ".join(masks.NAMES)
    with pytest.raises(ValueError, match=f"mixing must be one of {known}, got 'cutmax'"):
        masks.draw("cutmax", [[0.5, 0.5]], (4, 4), [0, 0])
    with pytest.raises(ValueError, match="num_members of a mixing block must be >= 2, got 1"):
        masks.draw("cow", [[1.0]], (4, 4), [0, 0])
