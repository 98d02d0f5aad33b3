import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import augmentation, erasing


def test_sides_by_hand():
    """64 pixels, four times as high as wide: 16 by 4; in 8 lines, all of them, and 8 columns."""
    sides = erasing.fitting(tf.constant([64.0, 64.0]), tf.constant([4.0, 0.25]), (32, 32))
    assert sides.numpy().tolist() == [[16, 4], [4, 16]]
    assert erasing.fitting(tf.constant(64.0), tf.constant(4.0), (8, 32)).numpy().tolist() == [8, 8]
    assert erasing.fitting(tf.constant(64.0), tf.constant(0.25), (32, 8)).numpy().tolist() == [8, 8]


@pytest.mark.parametrize("size", [(32, 32), (48, 16)])
def test_boxes_have_the_area_and_lie_anywhere_within(size):
    boxes = erasing.draw(1.0, [4_000, 2], size, [1, 2]).numpy().reshape(-1, 4)
    top, left, tall, wide = boxes.T
    height, width = size
    assert top.min() == left.min() == 0
    assert (top + tall).max() == height and (left + wide).max() == width
    shares = tall * wide / (height * width)
    assert shares.mean() == pytest.approx((0.02 + 0.33) / 2, abs=0.005)  # of a uniform draw
    assert 0.015 < shares.min() < 0.025 and 0.32 < shares.max() < 0.36
    fitted = (tall < height) & (wide < width) & (tall > 5) & (wide > 5)
    aspects = np.log(tall / wide)[fitted]
    assert abs(aspects.mean() - np.log(0.3 * 3.3) / 2) < 0.1 if height == width else True
    assert aspects.min() > np.log(0.3) - 0.3 and aspects.max() < np.log(3.3) + 0.3


def test_the_chance_that_an_image_has_a_box():
    boxes = erasing.draw(0.25, [4_000, 2], (32, 32), [3, 4]).numpy()
    is_erased = boxes[..., 2] * boxes[..., 3] > 0
    assert is_erased.mean() == pytest.approx(0.25, abs=0.02)
    assert (is_erased[:, 0] & is_erased[:, 1]).mean() == pytest.approx(0.0625, abs=0.015)
    assert not np.any(erasing.draw(0.0, [50, 2], (32, 32), [3, 4])[..., 2:])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_apply_by_hand(jit_compile):
    images = np.arange(2 * 1 * 4 * 5 * 2, dtype=np.float32).reshape(2, 1, 4, 5, 2) + 1
    boxes = np.array([[[1, 2, 2, 3]], [[3, 0, 0, 0]]], np.int32)
    expected = images.copy()
    expected[0, 0, 1:3, 2:5] = 0
    apply = tf.function(erasing.apply, jit_compile=jit_compile)
    np.testing.assert_array_equal(apply(images, boxes), expected)


def test_what_is_erased_is_the_mean_colour():
    images = np.full((1, 4, 4, 3), 255, np.uint8)
    rows = np.zeros((1, 1), np.int32)
    views = augmentation.draw_views("none", rows, [1, 1], (4, 4), [0, 0])
    views = views._replace(boxes=np.array([[[0, 0, 4, 2]]], np.int32))
    seen = augmentation.see(images, views, (0.5, 0.4, 0.2), (0.5, 0.2, 0.1))[0, 0]
    np.testing.assert_array_equal(seen[:, :2], 0)
    np.testing.assert_allclose(seen[:, 2:], np.broadcast_to([1, 3, 8], (4, 2, 3)), atol=1e-5)


def test_a_chance_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"random_erasing must be in \[0, 1\], got 1.5"):
        erasing.draw(1.5, [4, 2], (8, 8), [0, 0])
