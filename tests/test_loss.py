"""The weighted loss with smoothed labels, by hand; tests/test_model.py has it without."""

import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import loss

LOGITS = np.log([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]]).astype(np.float32)  # (1, 2, 3)
LABELS = np.array([[0, 2]])
MASKS = np.full((1, 1, 1, 2), 0.5, np.float32)  # weights 1


def cross_entropy(target, probabilities):
    return -np.sum(np.array(target) * np.log(probabilities))


def test_labels_by_hand():
    """0.7·(1, 0, 0) + 0.3/3; a vector that sums to 1/2 keeps its sum."""
    found = loss.smoothed(LABELS, 0.3, 3).numpy()
    np.testing.assert_allclose(found, [[[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]], atol=1e-6)
    half = loss.smoothed(np.float32([[[0.4, 0.0, 0.1]]]), 0.3, 3).numpy()
    np.testing.assert_allclose(half, [[[0.33, 0.05, 0.12]]], atol=1e-6)


def test_loss_by_hand():
    """Twice the weight of a sample is twice its term, smoothed or not."""
    first = cross_entropy([0.8, 0.1, 0.1], [0.5, 0.25, 0.25])
    second = cross_entropy([0.1, 0.1, 0.8], [0.1, 0.8, 0.1])
    found = loss.weighted(LOGITS, LABELS, MASKS, 3.0, label_smoothing=0.3)
    assert float(found) == pytest.approx(first + second, rel=1e-5)
    found = loss.weighted(LOGITS, LABELS, MASKS, 3.0, np.float32([[1, 2]]), label_smoothing=0.3)
    assert float(found) == pytest.approx(first + 2 * second, rel=1e-5)


def test_unequal_masks_weigh_smoothed_terms():
    """Ratios 0.2 and 0.8 at root 1: weights 0.4 and 1.6."""
    masks = np.reshape(np.float32([0.2, 0.8]), (1, 1, 1, 2))
    first = cross_entropy([0.8, 0.1, 0.1], [0.5, 0.25, 0.25])
    second = cross_entropy([0.1, 0.1, 0.8], [0.1, 0.8, 0.1])
    found = loss.weighted(LOGITS, LABELS, masks, 1.0, label_smoothing=0.3)
    assert float(found) == pytest.approx(0.4 * first + 1.6 * second, rel=1e-5)


def test_vectors_of_msda_that_carry_weights():
    """λ' = 0.75 of class 0 at weight 2 and 0.25 of class 1 at weight 1: they sum to 1.75."""
    vectors = np.float32([[[1.5, 0.25, 0.0], [0.0, 1.0, 0.0]]])
    first = cross_entropy(np.array([1.5, 0.25, 0.0]) * 0.8 + 0.2 * 1.75 / 3, [0.5, 0.25, 0.25])
    second = cross_entropy([0.2 / 3, 0.8 + 0.2 / 3, 0.2 / 3], [0.1, 0.8, 0.1])
    found = loss.weighted(LOGITS, vectors, MASKS, 3.0, label_smoothing=0.2)
    assert float(found) == pytest.approx(first + second, rel=1e-5)


def test_no_smoothing_is_bit_for_bit_the_loss_without():
    random = np.random.default_rng(0)
    logits = tf.constant(random.normal(size=(6, 2, 5)), tf.float32)
    labels = tf.constant(random.integers(0, 5, (6, 2)))
    masks = tf.constant(random.random((6, 4, 4, 2)), tf.float32)
    ours, theirs = (
        loss.weighted(logits, labels, masks, 3.0, **more) for more in ({}, {"label_smoothing": 0.0})
    )
    assert float(ours) == float(theirs)
