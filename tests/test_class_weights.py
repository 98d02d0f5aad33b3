"""Weights that let all classes count alike."""

import numpy as np
import pytest
import tensorflow as tf
from small_models import assert_same, tiny_model

from mixmo_tf.data import class_weights

LABELS = np.array([0, 0, 3, 0, 1, 0, 0, 1])  # five, two, none, one


def test_balanced_by_hand():
    """8 images of 3 classes: 8 / (3·5), 8 / (3·2), 8 / 3, and 0 for the class without any."""
    weights = class_weights.balanced(LABELS, 4)
    assert weights == pytest.approx({0: 8 / 15, 1: 4 / 3, 2: 0.0, 3: 8 / 3})
    assert np.mean([weights[label] for label in LABELS]) == pytest.approx(1)
    assert class_weights.balanced(np.arange(4)[:, None], 4) == dict.fromkeys(range(4), 1.0)


def test_wrong_labels_are_named():
    for labels, message in (
        (LABELS, "labels must be in 0 to 2, got 3"),
        (np.zeros(0, int), "labels must be of one image or more, got none"),
    ):
        with pytest.raises(ValueError, match=message):
            class_weights.balanced(labels, 3)


def test_every_image_gets_the_weight_of_its_class():
    batches = tf.data.Dataset.from_tensor_slices((np.arange(8), LABELS)).batch(5)
    ((images, labels, weights), _) = class_weights.join(batches, {3: 2.0, 0: 0.5, 1: 1.0, 2: 9.0})
    assert images.numpy().tolist() == [0, 1, 2, 3, 4] and labels.numpy().tolist() == [0, 0, 3, 0, 1]
    assert weights.numpy().tolist() == [0.5, 0.5, 2.0, 0.5, 1.0] and weights.dtype == tf.float32


def test_they_reach_the_loss_as_those_of_fit_do(pixels_and_labels):
    """Under MSDA, where a label is of two images."""
    images, labels = pixels_and_labels
    weights = class_weights.balanced(labels, 4)
    assert len(set(weights.values())) > 1
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    quick = {"batch_repetitions": 1, "mixing": "linear", "augmentation": "none"}
    model = tiny_model(msda="mixup", **quick)
    before = model.state()
    model.fit(batches, class_weight=weights, verbose=0)
    expected = model.state()
    model.set_state(before)
    model.fit(class_weights.join(batches, weights), verbose=0)
    assert_same(model.state(), expected)
