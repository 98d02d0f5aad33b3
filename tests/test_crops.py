import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf.data import crops


def image(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "shape, fraction, box",
    [
        ((100, 60, 3), 1.0, (20, 0, 60, 60)),
        ((60, 101, 3), 1.0, (0, 20, 60, 60)),
        ((256, 320, 3), 0.875, (16, 48, 224, 224)),
    ],
)
def test_central_box_by_hand(shape, fraction, box):
    np.testing.assert_array_equal(crops.central_box(tf.constant(shape), fraction), box)


def test_random_boxes_lie_inside_and_have_the_area_and_the_shape_they_should():
    seeds = [tf.constant([1, i]) for i in range(2000)]
    boxes = np.array([crops.random_box(tf.constant([300, 400, 3]), seed) for seed in seeds])
    top, left, height, width = boxes.T
    assert min(top) >= 0 and max(top + height) <= 300
    assert min(left) >= 0 and max(left + width) <= 400
    area = height * width / (300 * 400)
    assert 0.078 < min(area) < 0.1 and 0.9 < max(area) <= 1 and 0.35 < np.mean(area) < 0.6
    assert 0.74 < min(width / height) < 0.78 and 1.3 < max(width / height) < 1.35
    assert len(np.unique(boxes, axis=0)) > 1990
    again = crops.random_box(tf.constant([300, 400, 3]), seeds[7])
    np.testing.assert_array_equal(again, boxes[7])


def test_a_box_of_a_jpeg_is_that_part_of_the_image():
    content = tf.io.encode_jpeg(image(64, 96), quality=95)
    part = crops.decode_jpeg(content, tf.constant([8, 16, 32, 32]), 32)
    whole = tf.io.decode_jpeg(content)
    inner = slice(1, -1)  # the decoder smooths colours over the box's border
    np.testing.assert_array_equal(part[:, inner], whole[8:40, 16:48][:, inner])
    assert part.dtype == tf.uint8


def test_scaling_down_averages():
    """With antialias every pixel counts: the mean stays, and noise vanishes."""
    scaled = crops.scaled(tf.constant(image(320, 240)), 16).numpy()
    assert scaled.shape == (16, 16, 3)
    assert scaled.mean() == pytest.approx(image(320, 240).mean(), abs=1)
    assert scaled.std() < 10 < image(320, 240).std()


def test_a_grey_jpeg_becomes_three_channels():
    content = tf.io.encode_jpeg(image(40, 40)[:, :, :1], quality=95)
    part = crops.decode_jpeg(content, tf.constant([0, 0, 40, 40]), 20).numpy()
    np.testing.assert_array_equal(part[..., 0], part[..., 2])
