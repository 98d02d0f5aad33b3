"""`fit`: data that gives nothing, and callbacks that bring another step."""

import contextlib

import keras
import pytest
import tensorflow as tf
from small_models import FEW_DRAWS, ONE_MEMBER, assert_same, tiny_model, two_replicas

from mixmo_tf.models import executions


def batches(images, labels, size, drop_remainder):
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    return dataset.batch(size, drop_remainder=drop_remainder)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_an_iterator_of_python_that_has_ended(run_eagerly):
    """`train_on_batch` gives one, with a single batch."""
    model = tiny_model()
    model.compile(steps_per_execution=2, run_eagerly=run_eagerly)
    two = tf.constant(2, tf.int64)
    sums = executions.of_steps(model, lambda batch: {"sum": 10 + batch}, lambda: two, "")
    batches = iter(tf.unstack(tf.constant([1.0, 2.0, 4.0])))
    assert [sums(batches)["sum"] for _ in range(2)] == [12.0, 14.0]
    with pytest.raises(StopIteration):
        sums(batches)


def test_data_that_says_none_where_there_are_no_weights(pixels_and_labels):
    """Keras puts a tf.experimental.Optional there, for batches of a generator."""
    images, labels = pixels_and_labels
    model, histories = tiny_model(**FEW_DRAWS), []
    start = model.state()
    for weights in ((), (None,)):
        batches = ((images[i : i + 8], labels[i : i + 8], *weights) for i in range(0, 40, 8))
        model.set_state(start)
        histories.append(model.fit(batches, verbose=0).history)
    assert histories[0] == histories[1]


@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_data_without_a_batch_is_an_error(pixels_and_labels, steps_per_execution):
    images, labels = pixels_and_labels
    model = tiny_model(**ONE_MEMBER)
    model.compile("sgd", metrics=["accuracy"], steps_per_execution=steps_per_execution)
    weights = model.get_weights()
    none, dropped = batches(images[:0], labels[:0], 8, False), batches(images, labels, 64, True)
    shapes = tf.TensorSpec((None, 16, 16, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)
    unknown = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=shapes)
    for data in (none, dropped, unknown, dropped.filter(lambda *_: True)):
        for options in ({}, {"steps_per_epoch": 2}):
            with pytest.raises(ValueError, match=r"^the dataset gave no batch to train on \(drop"):
                model.fit(data, epochs=2, verbose=0, **options)
        with pytest.raises(ValueError, match="^the dataset gave no batch to evaluate$"):
            model.evaluate(data, verbose=0)
        with pytest.raises(ValueError, match="^the dataset gave no batch to evaluate$"):
            model.fit(images, labels, batch_size=8, validation_data=data, verbose=0)
        model.set_weights(weights)
    with pytest.raises(ValueError, match=r"^batch_size must be in \[1, 40\], the number of .* 64$"):
        model.fit(images, labels, batch_size=64, verbose=0)
    with pytest.raises(ValueError, match=r"^batch_size must be in \[1, 20\], the number of .* 32$"):
        model.fit(images, labels, validation_split=0.5, verbose=0)


def test_data_that_ends_after_a_batch_is_none(pixels_and_labels):
    """The last epoch of two has half as many steps; all that is there is trained on."""
    once = iter([pixels_and_labels])
    shapes = tf.TensorSpec((None, 16, 16, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)
    model = tiny_model(**ONE_MEMBER)
    dataset = tf.data.Dataset.from_generator(lambda: once, output_signature=shapes)
    model.fit(dataset, epochs=2, verbose=0)
    assert int(model.step.numpy()) == 1


class Fail(keras.callbacks.Callback):
    """Ends training as a crash does."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise RuntimeError


@pytest.mark.parametrize("replicas, steps_per_execution", [(1, 1), (1, 3), (2, 3)])
def test_what_backup_and_restore_brings_back_goes_on(
    pixels_and_labels, tmp_path, replicas, steps_per_execution
):
    """Two epochs, a crash, and two more are four epochs, bit for bit; of five steps each."""
    with two_replicas().scope() if replicas > 1 else contextlib.nullcontext():
        model = tiny_model(seed=3, **FEW_DRAWS)
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        model.compile(optimizer, steps_per_execution=steps_per_execution)
    start = model.state()

    def fit(*callbacks):
        model.set_state(start)
        return model.fit(
            *pixels_and_labels, batch_size=8, epochs=4, verbose=0, callbacks=list(callbacks)
        )

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    history, quiet = fit(), model.get_weights()
    with pytest.raises(RuntimeError):
        fit(backup(), Fail())
    rest = fit(backup())
    assert rest.epoch == [2, 3] and int(model.step.numpy()) == 20
    assert rest.history["loss"] == history.history["loss"][2:]
    assert_same(model.get_weights(), quiet)


def test_weights_that_a_callback_loads_bring_their_order(pixels_and_labels, tmp_path):
    """In the middle of an epoch too: `fit` begins an epoch at that step."""
    model = tiny_model(seed=3, **FEW_DRAWS)
    start = model.state()
    model.fit(*pixels_and_labels, batch_size=8, steps_per_epoch=3, verbose=0)
    model.save_weights(tmp_path / "step_3.weights.h5")
    model.fit(*pixels_and_labels, batch_size=8, verbose=0)
    trained = model.get_weights()
    model.set_state(start)
    load = lambda logs: model.load_weights(tmp_path / "step_3.weights.h5")  # noqa: E731
    loads = keras.callbacks.LambdaCallback(on_train_begin=load)
    model.fit(*pixels_and_labels, batch_size=8, verbose=0, callbacks=[loads])
    assert_same(trained, model.get_weights())
