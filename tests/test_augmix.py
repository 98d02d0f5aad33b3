import numpy as np
import tensorflow as tf
from conftest import tiny_model

from mixmo_tf import data


def test_augmix_changes_images_and_leaves_labels(pixels_and_labels):
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

    model = tiny_model(mixing="linear")
    model.fit(changed, steps_per_epoch=5, verbose=0)
    assert int(model.step.numpy()) == 5
