"""Tables and blends by hand; tests/test_trivial_augment.py holds them to PIL's."""

import numpy as np
import tensorflow as tf

from mixmo_tf import colour_tables


def of_one(values):
    """Grey pixels of one image of one row: (B, M, H, W, 1) with B = M = H = 1."""
    return tf.constant(np.reshape(values, (1, 1, 1, -1, 1)), tf.int32)


def number(value):
    return tf.constant([[[[value]]]], tf.int32)


def test_a_blend_by_hand():
    """1.99·100 and 0.01·100 of black; 40 + 1.33·(100 − 40) = 119.8; both ends are cut off."""
    weights = colour_tables.blend_weights(tf.constant([30, 30, 10]), tf.constant([1, -1, 1]))
    np.testing.assert_array_equal(weights, [5970, 30, 3990])
    blended = colour_tables.blend(tf.constant([0, 0, 40]), tf.constant([100, 100, 100]), weights)
    np.testing.assert_array_equal(blended, [199, 1, 119])
    ends = colour_tables.blend(tf.constant([200, 100]), tf.constant([20, 250]), 5970)
    np.testing.assert_array_equal(ends, [0, 255])


def test_grey_by_hand():
    """0.299·10 + 0.587·20 + 0.114·200 = 37.53; two channels have their mean, one is grey."""
    assert colour_tables.grey(tf.constant([[10, 20, 200]])).numpy().tolist() == [[38]]
    assert colour_tables.grey(tf.constant([[10, 21], [0, 255]])).numpy().tolist() == [[15], [127]]
    assert colour_tables.grey(tf.constant([[7]])).numpy().tolist() == [[7]]
    brightness = tf.constant(np.reshape([1, 2, 3, 4], (1, 1, 2, 2, 1)), tf.int32)
    assert colour_tables.mean(brightness).numpy().ravel().tolist() == [3]  # of 2.5


def test_smooth_by_hand():
    """A dot of 130 on black: 5/13 of it, which is 50, in the middle, where no border is."""
    image = np.zeros((1, 1, 4, 5, 1), np.int32)
    image[0, 0, 1, 2, 0] = 130
    image[0, 0, 3, 4, 0] = 9  # in the corner
    expected = np.zeros((4, 5), np.int32)
    expected[1:3, 1:4] = 10
    expected[1, 2], expected[2, 3], expected[3, 4] = 50, 11, 9  # 10 + 9/13
    np.testing.assert_array_equal(colour_tables.smooth(tf.constant(image))[0, 0, ..., 0], expected)


def test_posterize_and_solarize_by_hand():
    strengths = tf.constant(np.reshape([0, 3, 15, 30], (4, 1, 1, 1)), tf.int32)
    bits = colour_tables.posterize(strengths)[:, 0, 0]  # 8, 7, 5 and 2 bits are kept
    np.testing.assert_array_equal(bits.numpy()[:, 207], [207, 206, 200, 192])
    inverted = colour_tables.solarize(strengths)[:, 0, 0].numpy()  # from 255, 229.5, 127.5, 0 on
    assert inverted[0, 254] == 254 and inverted[0, 255] == 0
    assert inverted[1, 229] == 229 and inverted[1, 230] == 25
    assert inverted[2, 127] == 127 and inverted[2, 128] == 127
    np.testing.assert_array_equal(inverted[3], 255 - np.arange(256))


def test_autocontrast_by_hand():
    """50 … 101 over 0 … 255 is five times as much; one value alone stays."""
    counts = colour_tables.histograms(of_one([50, 101, 60]))
    assert counts.shape == (1, 1, 1, 256) and tf.reduce_sum(counts) == 3
    table = colour_tables.autocontrast(counts).numpy().ravel()
    assert table[[50, 60, 101]].tolist() == [0, 50, 255]
    flat = colour_tables.autocontrast(colour_tables.histograms(of_one([9, 9])))
    np.testing.assert_array_equal(np.ravel(flat), np.arange(256))


def test_equalize_by_hand():
    """511 of 10, 255 of 20, 4 of 90: a step is (770 − 4) // 255 = 3 pixels; with the half, 1."""
    counts = colour_tables.histograms(of_one([10] * 511 + [20] * 255 + [90] * 4))
    table = colour_tables.equalize(counts).numpy().ravel()
    assert table[[10, 20, 90]].tolist() == [0, 170, 255]  # 1 // 3, 512 // 3, 767 // 3
    few = colour_tables.equalize(colour_tables.histograms(of_one([3, 200])))
    np.testing.assert_array_equal(np.ravel(few), np.arange(256))  # a step of no pixel


def test_each_channel_of_each_image_has_its_table():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (3, 2, 4, 5, 3)).astype(np.int32)
    tables = random.integers(0, 256, (3, 2, 3, 256)).astype(np.int32)
    found = colour_tables.look_up(tf.constant(tables), tf.constant(pixels)).numpy()
    counts = colour_tables.histograms(tf.constant(pixels)).numpy()
    for row, member, channel in np.ndindex(3, 2, 3):
        ours = pixels[row, member, ..., channel]
        np.testing.assert_array_equal(
            found[row, member, ..., channel], tables[row, member, channel][ours]
        )
        np.testing.assert_array_equal(
            counts[row, member, channel], np.bincount(ours.ravel(), minlength=256)
        )
