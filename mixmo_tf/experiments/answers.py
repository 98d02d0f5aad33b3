"""What models answer, as one: the members' logits of one model, or of several as an ensemble."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from mixmo_tf import evaluation


def answerer(models: list) -> Callable:
    """A function of images (n, H, W, channels) that gives logits, float32 (n, M, C).

    The members of several models are the models, each with the logits of its own ensemble.
    """
    compute = [
        tf.function(model.member_logits, autograph=False, reduce_retracing=True) for model in models
    ]

    def answer(images):
        return together([each(images).numpy() for each in compute], models)

    return answer


def together(of_models: Sequence[np.ndarray], models: list) -> np.ndarray:
    """The logits of one model, (n, M, C); those of several as members, float32 (n, models, C)."""
    if len(models) == 1:
        return of_models[0]
    of_models = [
        evaluation.ensemble_logits(logits, model.ensemble)
        for logits, model in zip(of_models, models, strict=True)
    ]
    return np.stack(of_models, axis=1).astype(np.float32)


def answered(
    answer: Callable, batches: Iterable, find_damaged: Callable
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The logits (n, M, C) and the labels (n,) of each batch of (images, labels).

    Args:
        answer: as `answerer` gives it.
        find_damaged: function that raises DamagedImageError if images are damaged.

    Raises:
        ValueError: if TensorFlow fails.
    """
    with explained(find_damaged):
        for images, labels in batches:
            yield answer(images), np.asarray(labels)


@contextlib.contextmanager
def explained(find_damaged: Callable) -> Iterator[None]:
    """Under it, an error of TensorFlow's becomes DamagedImageError or a ValueError, a line."""
    try:
        yield
    except tf.errors.OpError as error:
        find_damaged()
        reason = error.message.split("\n")[0]
        raise ValueError(f"TensorFlow failed: {reason}; try a smaller --batch_size") from error
