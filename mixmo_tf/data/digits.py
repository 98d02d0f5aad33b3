"""scikit-learn's handwritten digits: no download."""

import numpy as np
import tensorflow as tf

from mixmo_tf.data.examples import Examples, Info


def read(name: str, split: str) -> Examples:
    """scikit-learn's 1,797 scans of handwritten digits, 8×8, enlarged to 32×32 RGB.

    Every fifth scan is a test image: 1,437 for training, 360 for the test.
    """
    from sklearn.datasets import load_digits  # imported here: only this dataset needs it

    scans = load_digits()
    is_test = np.arange(len(scans.target)) % 5 == 0
    chosen = is_test if split == "test" else ~is_test
    images = tf.image.resize(scans.images[chosen, :, :, None] * (255 / 16), (32, 32))
    images = np.repeat(np.round(images).astype(np.uint8), 3, axis=-1)  # (N, 32, 32, 3)
    labels = scans.target[chosen].astype(np.int64)
    names = tuple(str(digit) for digit in scans.target_names)
    return Examples(images, labels, Info(name, len(labels), (32, 32, 3), names))
