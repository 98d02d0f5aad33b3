"""What a model answers to many images: streamed through it, only the logits are kept."""

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm


def predict(model: keras.Model, batches: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The members' logits for a whole dataset.

    Args:
        model: MixMo, DeepEnsemble or ExportedModel, whatever has `member_logits`.
        batches: tf.data.Dataset of (images, labels), such as `Examples.batches` gives.

    Returns:
        member_logits: float32 (N, M, C).
        labels: int64 (N,).

    Raises:
        ValueError: if `model` or `batches` are something else.
    """
    if not callable(getattr(model, "member_logits", None)):
        raise ValueError(f"model must have member_logits, as a MixMo, got a {type(model).__name__}")
    if isinstance(batches, (str, dict)) or not np.iterable(batches):
        raise ValueError(f"batches must be a tf.data.Dataset, got a {type(batches).__name__}")
    compute = tf.function(model.member_logits, autograph=False, reduce_retracing=True)
    logits, labels = [], []
    with tqdm(desc="Predicting", unit=" images", disable=None, leave=False) as progress:
        for images, of_images in batches:
            logits.append(compute(images).numpy())
            labels.append(of_images.numpy())
            progress.update(len(labels[-1]))
    if not logits:
        raise ValueError("batches must have an image or more, got none")
    return np.concatenate(logits), np.concatenate(labels)
