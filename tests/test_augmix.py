import importlib

import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import data


def test_augmix_changes_images_and_leaves_labels(pixels_and_labels, monkeypatch):
    # of eight, each of which TensorFlow traces for half a second
    monkeypatch.setattr(importlib.import_module("mixmo_tf.data.augmix"), "VARIANTS", 3)
    images, labels = pixels_and_labels
    plain = data.training_batches((images, labels), 8, seed=0)
    changed = data.augmix(plain)
    assert changed.element_spec == plain.element_spec
    differences = []
    for (before, label), (after, same_label) in tf.data.Dataset.zip(plain, changed).take(20):
        np.testing.assert_array_equal(label, same_label)
        differences.append(np.abs(after.numpy().astype(int) - before).mean())
    assert np.median(differences) > 1
    assert len(np.unique(np.round(differences, 6))) > 15  # drawn anew for every batch


def test_what_is_no_batch_of_images_is_refused(pixels_and_labels):
    images, labels = pixels_and_labels
    for batches in (
        tf.data.Dataset.from_tensor_slices((images / 255, labels)).batch(4),
        tf.data.Dataset.from_tensor_slices(images).batch(4),
    ):
        with pytest.raises(ValueError, match="must be tuples that begin with uint8 images"):
            data.augmix(batches)
