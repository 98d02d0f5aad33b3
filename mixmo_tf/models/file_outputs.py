"""All outputs of a file that a model was exported to, whatever its format."""

from collections.abc import Callable, Sequence

import numpy as np

from mixmo_tf import arguments
from mixmo_tf.data import checks


def of(
    answer: Callable[[np.ndarray], dict[str, np.ndarray]],
    images: arguments.Array,
    image_shape: Sequence[int],
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """The outputs by name, of all batches together, with N first.

    Args:
        answer: function of uint8 (n, H, W, channels), n >= 1, that gives them for a batch.
        images: pixels 0–255 (N, H, W, channels), rounded to uint8; N may be 0.
        image_shape: (H, W, channels).
        batch_size: images at a time; 32 if None.

    Raises:
        ValueError: if an argument is wrong; see `data.checks.check_pixels`.
    """
    images = np.asarray(checks.check_pixels(images, image_shape))
    size = 32 if batch_size is None else arguments.count("batch_size", batch_size, 1)
    if not len(images):  # which the file itself may not take
        return {
            name: each[:0] for name, each in answer(np.zeros((1, *image_shape), np.uint8)).items()
        }
    if images.dtype != np.uint8:
        images = np.clip(np.round(images), 0, 255).astype(np.uint8)
    batches = [answer(images[start : start + size]) for start in range(0, len(images), size)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
