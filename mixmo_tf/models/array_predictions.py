"""`predict` of an array: its batches straight to the model.

Keras makes a tf.data pipeline of every array that it is given: for a single image that takes
many times as long as the network.
"""

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf import arguments


def can_be(model: keras.Model, steps: int | None) -> bool:
    """Whether `of` may take the place of `keras.Model.predict`: on one replica, of all batches."""
    limited = steps or keras.config.max_steps_per_epoch()
    return model.distribute_strategy.num_replicas_in_sync == 1 and not limited


def of(
    model: keras.Model,
    images: arguments.Array,
    batch_size: int,
    verbose: str | int = "auto",
    callbacks: list | keras.callbacks.CallbackList | None = None,
) -> np.ndarray:
    """What `keras.Model.predict` gives, float32 (N, C), with the same calls of callbacks."""
    starts = range(0, len(images), batch_size)
    if not starts:
        return np.zeros((0, model.num_classes), np.float32)
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        shown = {"add_progbar": verbose != 0, "verbose": verbose}
        callbacks = keras.callbacks.CallbackList(
            callbacks, **shown, epochs=1, steps=len(starts), model=model
        )
    most = model.steps_per_execution
    model.make_predict_function()
    model.stop_predicting = False
    answers = []
    callbacks.on_predict_begin()
    for step in range(0, len(starts), most):
        callbacks.on_predict_batch_begin(step)
        batches = [images[start : start + batch_size] for start in starts[step : step + most]]
        outputs = model.predict_function([(tf.convert_to_tensor(batch),) for batch in batches])
        answers.append(outputs)
        callbacks.on_predict_batch_end(step + most - 1, {"outputs": outputs})
        if model.stop_predicting:
            break
    callbacks.on_predict_end()
    return np.concatenate([each.numpy() for each in answers])
