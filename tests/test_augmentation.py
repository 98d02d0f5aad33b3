import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import augmentation


def one_by_one(images, rows, offsets, flips):
    """Pad, crop and flip with plain slices, one image at a time."""
    padded = np.pad(images, [(0, 0), (4, 4), (4, 4), (0, 0)])
    height, width = images.shape[1:3]
    out = np.empty((*rows.shape, *images.shape[1:]), images.dtype)
    for index in np.ndindex(rows.shape):
        top, left = offsets[index]
        crop = padded[rows[index], top : top + height, left : left + width]
        out[index] = crop[:, ::-1] if flips[index] else crop
    return out


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_apply_equals_plain_slices(jit_compile, dtype):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 6, 10, 3)).astype(dtype)
    rows = random.integers(0, 5, (12, 2)).astype(np.int32)
    offsets = random.integers(0, 9, (12, 2, 2)).astype(np.int32)
    flips = random.random((12, 2)) < 0.5
    apply = tf.function(augmentation.apply, jit_compile=jit_compile)
    applied = apply(tf.constant(images), rows, offsets, flips)
    np.testing.assert_array_equal(applied, one_by_one(images, rows, offsets, flips))


def test_crop_flip_differs_between_repeats():
    images = tf.random.stateless_uniform([1, 32, 32, 3], [0, 0], 0, 256, tf.int32)
    rows = tf.zeros([64, 2], tf.int32)
    augmented = augmentation.apply(images, rows, *augmentation.draw("crop_flip", [64, 2], [1, 2]))
    distinct = np.unique(tf.reshape(augmented, [128, -1]), axis=0)
    assert len(distinct) > 70  # of 9·9·2 = 162 equally likely ones, 88.6 expected


def test_offsets_and_flips_are_uniform():
    offsets, flips = augmentation.draw("crop_flip", [10_000, 2], [3, 4])
    counts = np.bincount(offsets.numpy().ravel(), minlength=9)
    np.testing.assert_allclose(counts / 40_000, 1 / 9, atol=0.01)
    assert np.mean(flips) == pytest.approx(0.5, abs=0.02)


def test_flip_flips_what_crop_flip_would_and_does_not_crop():
    offsets, flips = augmentation.draw("flip", [100, 2], [5, 6])
    assert np.all(offsets == augmentation.PADDING)
    np.testing.assert_array_equal(flips, augmentation.draw("crop_flip", [100, 2], [5, 6])[1])


def test_crop_does_not_flip_and_none_changes_nothing():
    offsets, flips = augmentation.draw("crop", [100, 2], [5, 6])
    assert not np.any(flips) and len(np.unique(offsets)) == 9
    images = np.arange(2 * 8 * 8 * 3).reshape(2, 8, 8, 3)
    rows = np.array([[1, 0], [0, 1]], np.int32)
    unchanged = augmentation.apply(images, rows, *augmentation.draw("none", [2, 2], [5, 6]))
    np.testing.assert_array_equal(unchanged, images[rows])


def test_normalise_by_hand():
    normalised = augmentation.normalise(
        np.array([[0, 255, 51]], np.uint8), (0.5, 0.4, 0.2), (0.5, 0.2, 0.1)
    )
    np.testing.assert_allclose(normalised, [[-1, 3, 0]], atol=1e-6)


def test_an_unknown_name_is_named():
    with pytest.raises(
        ValueError, match="augmentation must be one of none, flip, crop, crop_flip, got 'flop'"
    ):
        augmentation.draw("flop", [4, 2], [0, 0])
