"""The operations beside those of PIL, which the published code calls, and how they are drawn."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from mixmo_tf import augmentation, trivial_augment
from mixmo_tf.trivial_augment import OPERATIONS, Changes

STRENGTHS = (0, 1, 15, 20, 30)  # at 20, a quarter turn


def by_pil(image, operation, strength, sign):
    """What torchvision's TrivialAugmentWide makes of a PIL image, fill 0, nearest pixels."""
    level = strength / 30
    factor = 1 + sign * 0.99 * level
    shear, pixels, angle = (sign * most * level for most in (0.99, 32, 135))
    pixels = int(pixels)

    def moved(*matrix):
        return image.transform(image.size, Image.Transform.AFFINE, matrix)

    return {
        "identity": lambda: image,
        "shear_x": lambda: moved(1, shear, 0, 0, 1, 0),
        "shear_y": lambda: moved(1, 0, 0, shear, 1, 0),
        "translate_x": lambda: moved(1, 0, -pixels, 0, 1, 0),
        "translate_y": lambda: moved(1, 0, 0, 0, 1, -pixels),
        "rotate": lambda: image.rotate(angle),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "colour": lambda: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
        "posterize": lambda: ImageOps.posterize(image, 8 - round(6 * level)),
        "solarize": lambda: ImageOps.solarize(image, 8.5 * (30 - strength)),
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
    }[operation]()


def blurred(height, width, channels=3):
    """An image with neighbours that are alike, and without the ends of the scale."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (5, 6, channels)).astype(np.float32)
    image = tf.image.resize(noise, (height, width), "bicubic").numpy()
    return np.clip(image, 20, 220).astype(np.uint8)


def changes_of(cases):
    """Changes for an image of each (operation, strength, sign); M = 1."""
    rows = [(OPERATIONS.index(name), *numbers) for name, *numbers in cases]
    return Changes(*np.array(rows, np.int32).T[..., None])


CASES = [
    (name, strength, sign) for name in OPERATIONS for strength in STRENGTHS for sign in (1, -1)
]


def changed(images, changes, jit_compile=False):
    """Each row's image, without crop and flip, changed: float (B, 1, H, W, channels)."""

    def change(images, changes):
        rows = tf.range(tf.shape(images)[0])[:, None]
        nothing = augmentation.draw("none", [len(images), 1], [0, 0])
        return trivial_augment.recolour(
            augmentation.apply(images, rows, *nothing, changes), changes
        )

    return tf.function(change, jit_compile=jit_compile)(tf.constant(images), changes).numpy()


@pytest.mark.parametrize("size", [(32, 32), (20, 33)])
def test_agrees_with_pil(size):
    """Values to 1, where PIL computes with fractions; pixels to the few that lie on an edge."""
    image = blurred(*size)
    ours = changed(np.stack([image] * len(CASES)), changes_of(CASES))[:, 0]
    for case, found in zip(CASES, ours, strict=True):
        theirs = np.asarray(by_pil(Image.fromarray(image), *case), np.float32)
        differs = np.any(np.abs(found - theirs) > 0, axis=-1)
        assert differs.mean() < {"autocontrast": 0.2, "rotate": 0.03}.get(case[0], 0.01), case
        if case[0] != "rotate":
            assert np.abs(found - theirs).max() <= 1, case


def test_each_operation_changes_an_image():
    """With the largest strength; so that none passes for another."""
    image = blurred(32, 32)
    cases = [(name, 30, 1) for name in OPERATIONS]
    ours = changed(np.stack([image] * len(cases)), changes_of(cases))
    same = [name for name, found in zip(OPERATIONS, ours, strict=True) if np.all(found == image)]
    assert same == ["identity"]


def test_xla_gives_the_same():
    image = blurred(12, 13)
    images, changes = np.stack([image] * len(CASES)), changes_of(CASES)
    ours, theirs = (changed(images, changes, jit_compile) for jit_compile in (False, True))
    differs = np.any(ours != theirs, axis=(1, 2, 3, 4))
    assert {case[0] for case, each in zip(CASES, differs, strict=True) if each} <= {"rotate"}
    assert np.mean(ours != theirs) < 1e-3  # pixels on an edge


def test_an_image_is_changed_after_crop_and_flip():
    """One pixel: cropped from (2, 3) on, mirrored, moved to the right by 1 of 32/30 pixels."""
    image = np.zeros((1, 8, 10, 3), np.uint8)
    image[0, 5, 2] = 200  # (9, 6) in the padded image; (7, 3) in the crop, then (7, 6)
    changes = changes_of([("translate_x", 1, 1)])
    offsets, flips = np.array([[[2, 3]]], np.int32), np.array([[True]])
    seen = augmentation.apply(image, np.array([[0]], np.int32), offsets, flips, changes)
    assert np.argwhere(seen.numpy()[0, 0, ..., 0]).tolist() == [[7, 7]]


def test_what_comes_in_from_outside_is_black_and_not_the_crop_s_border():
    image = np.full((1, 8, 8, 1), 100, np.uint8)
    seen = changed(image, changes_of([("translate_y", 3, -1)]))[0, 0, ..., 0]
    np.testing.assert_array_equal(seen[:5], 100)
    np.testing.assert_array_equal(seen[5:], 0)


def test_the_colour_of_a_grey_image_stays():
    image = blurred(8, 8, channels=1)
    cases = [("colour", 30, 1), ("colour", 30, -1)]
    for found in changed(np.stack([image] * 2), changes_of(cases)):
        np.testing.assert_array_equal(found[0], image)


def test_fractions_are_rounded_and_no_number_is_kept():
    """What is no number ends a step, with TrivialAugment too."""
    images = np.array([[[[0.4], [254.6], [-3.0], [1e30], [np.nan]]]], np.float32)
    seen = changed(images, changes_of([("identity", 0, 1)])).ravel()
    assert seen[:4].tolist() == [0, 255, 0, 255] and np.isnan(seen[4])


def test_draws_are_uniform_and_each_image_has_its_own():
    drawn = trivial_augment.draw([7_000, 2], [1, 2])
    for part, count, values in (
        (drawn.operations, 14, np.arange(14)),
        (drawn.strengths, 31, np.arange(31)),
        (drawn.signs, 2, [-1, 1]),
    ):
        found, counts = np.unique(part, return_counts=True)
        np.testing.assert_array_equal(found, values)
        np.testing.assert_allclose(counts * count / 14_000, 1, atol=0.2)
    pairs = np.stack([np.ravel(drawn.operations), np.ravel(drawn.strengths)])
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.05
    assert np.mean(drawn.operations[:, 0] == drawn.operations[:, 1]) == pytest.approx(
        1 / 14, abs=0.02
    )


def test_crops_and_flips_are_those_without():
    rows = tf.zeros([6, 2], tf.int32)
    seed = [3, 4]
    plain = augmentation.draw_views("crop_flip", rows, [6, 2], (8, 8), seed)
    with_all = augmentation.draw_views("crop_flip", rows, [6, 2], (8, 8), seed, True, 0.5)
    assert plain.trivial is None and plain.boxes is None
    for name in ("rows", "offsets", "flips"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(with_all, name))
    assert with_all.trivial.operations.shape == (6, 2) and with_all.boxes.shape == (6, 2, 4)
