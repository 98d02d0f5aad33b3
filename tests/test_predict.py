"""`predict` of arrays goes past Keras' pipeline of data, and does what Keras does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import ready_model, tiny_model, two_replicas

from mixmo_tf.data import stream


class Notes(keras.callbacks.Callback):
    """What a callback is told, in order; it stops after `stop_after` executions."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.events = []
        self.stop_after = stop_after

    def on_predict_begin(self, logs=None):
        self.events.append("begin")

    def on_predict_batch_begin(self, batch, logs=None):
        self.events.append(batch)

    def on_predict_batch_end(self, batch, logs=None):
        self.events.append((batch, tuple(logs["outputs"].shape)))
        ended = sum(isinstance(event, tuple) for event in self.events)
        self.model.stop_predicting = ended == self.stop_after

    def on_predict_end(self, logs=None):
        self.events.append("end")


def as_dataset(images, batch_size):
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(batch_size)
    return dataset.with_options(stream.without_autotune())


@pytest.mark.parametrize("steps_per_execution", [1, 3])
@pytest.mark.parametrize("eagerly", [False, True], ids=["compiled", "eagerly"])
def test_arrays_are_predicted_as_datasets_are(pixels_and_labels, steps_per_execution, eagerly):
    images, _ = pixels_and_labels
    model = tiny_model()
    model.compile("sgd", steps_per_execution=steps_per_execution, run_eagerly=eagerly)
    for kind in (images, tf.constant(images), images.astype(np.float64)):
        ours, theirs = Notes(), Notes()
        answers = model.predict(kind, batch_size=12, verbose=0, callbacks=[ours])
        expected = model.predict(as_dataset(kind, 12), verbose=0, callbacks=theirs)
        np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-6)
        assert answers.dtype == np.float32 and ours.events == theirs.events
    ends = [(0, (12, 4)), (1, (12, 4)), (2, (12, 4)), (3, (4, 4))]
    ends = ends if steps_per_execution == 1 else [(2, (36, 4)), (5, (4, 4))]
    assert [event for event in ours.events if isinstance(event, tuple)] == ends


def test_a_callback_stops_it_and_a_list_of_keras_is_taken(pixels_and_labels):
    images, _ = pixels_and_labels
    model = ready_model()
    for data in (images, as_dataset(images, 8)):
        notes = Notes(stop_after=2)
        answers = model.predict(data, batch_size=8, verbose=0, callbacks=notes)
        np.testing.assert_allclose(answers, model(images[:16]), rtol=0, atol=1e-6)
        assert notes.events[-1] == "end"
    notes = Notes()
    callbacks = keras.callbacks.CallbackList([notes], model=model)
    model.predict(images, batch_size=20, callbacks=callbacks)
    assert notes.events == ["begin", 0, (0, (20, 4)), 1, (1, (20, 4)), "end"]


def test_progress_is_shown_as_keras_shows_it(pixels_and_labels, capsys):
    images, _ = pixels_and_labels
    model = ready_model()
    for verbose, said in ((1, "5/5"), ("auto", "5/5"), (2, "5/5"), (0, "")):
        model.predict(images, batch_size=8, verbose=verbose)
        printed = capsys.readouterr().out
        assert said in printed and bool(printed) == bool(said), verbose


def test_fewer_steps_than_there_are(pixels_and_labels):
    images, _ = pixels_and_labels
    model = ready_model()
    assert model.predict(images, 8, 0, 2).shape == (16, 4)
    keras.config.set_max_steps_per_epoch(1)
    try:
        with pytest.warns(UserWarning, match="Limiting steps_per_epoch to 1"):
            assert model.predict(images, batch_size=8, verbose=0).shape == (8, 4)
    finally:
        keras.config.set_max_steps_per_epoch(None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'shuffle'"):
        model.predict(images, shuffle=True)


def test_an_array_makes_no_pipeline_and_few_graphs(pixels_and_labels, monkeypatch):
    """Either would take many times as long as the network, for a request of one image."""
    images, _ = pixels_and_labels
    model = tiny_model()
    monkeypatch.setattr(keras.Model, "predict", None)
    monkeypatch.setattr(stream, "evaluation_batches", None)
    graphs = []
    predict_step = model.predict_step
    model.predict_step = lambda data: graphs.append(1) or predict_step(data)
    for num_images in (1, 2, 7, 40, 3, 1):
        answers = model.predict(images[:num_images], verbose=0)
        np.testing.assert_allclose(answers, model(images[:num_images]), rtol=0, atol=1e-6)
    assert len(graphs) == 2  # of one image, of any number


def test_under_strategies(pixels_and_labels):
    images, _ = pixels_and_labels
    model = ready_model()
    expected = model.predict(images, verbose=0)
    for strategy in (two_replicas(), tf.distribute.OneDeviceStrategy("/device:CPU:1")):
        with strategy.scope():
            ours = tiny_model()
        for num_images in (0, 1, 37):
            answers = ours.predict(images[:num_images], batch_size=8, verbose=0)
            np.testing.assert_allclose(answers, expected[:num_images], rtol=0, atol=1e-6)


class Batches(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.images[20 * index : 20 * index + 20], np.zeros(20)


def test_batches_of_every_kind(pixels_and_labels):
    images, labels = pixels_and_labels
    model = ready_model()
    expected = model.predict(images, verbose=0)
    halves = images[:20], images[20:]
    for batches in (
        as_dataset(images, 20),
        as_dataset((images, labels), 16),
        Batches(images),
        ((half,) for half in halves),
        ((half, None) for half in halves),
    ):
        np.testing.assert_allclose(model.predict(batches, verbose=0), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_wrong_shape_is_one_sentence_of_every_kind(pixels_and_labels, replicas):
    images, labels = pixels_and_labels
    wrong = images[:, :8]
    strategy = two_replicas() if replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        model = tiny_model()
    sentence = (
        r"^images must have the shape \(n, 16, 16, 3\) of the network, got \(\d+, 8, 16, 3\)$"
    )
    for data in (
        wrong, as_dataset(wrong, 8), as_dataset((wrong, labels), 8), Batches(wrong),
        ((wrong[:8],) for _ in range(2)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            model.predict(data, verbose=0)
    with pytest.raises(ValueError, match=r"got \((16|8), 16, 3\)(, a single image)?$"):
        model.predict(tf.data.Dataset.from_tensor_slices(images), verbose=0)
    with pytest.raises(ValueError, match="^images must be an array of numbers, got {'a': "):
        model.predict(as_dataset({"a": images}, 8), verbose=0)
