"""Pixels and weights that cannot be right: refused where arrays are seen, else a warning."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    FEW_DRAWS,
    ONE_MEMBER,
    assert_same,
    ready_model,
    tiny_model,
    two_replicas,
)

import mixmo_tf

SCALED = "images must be pixels 0 to 255, not divided by 255 or normalised"


def doors(model, folded, images, labels):
    """Every call that takes arrays of images, by name."""
    good = np.zeros_like(images, np.uint8)
    return {
        "fit": lambda: model.fit(images, labels, batch_size=8, verbose=0),
        "validation_data": lambda: model.fit(
            good, labels, batch_size=8, verbose=0, validation_data=(images, labels)
        ),
        "evaluate": lambda: model.evaluate(images, labels, verbose=0),
        "predict": lambda: model.predict(images, verbose=0),
        "member_logits": lambda: model.member_logits(images),
        "member_logits of a tensor": lambda: model.member_logits(tf.constant(images)),
        "of a folded model": lambda: folded.predict(images, verbose=0),
    }


DOORS = list(doors(None, None, np.zeros(1), None))


@pytest.fixture(scope="module")
def model():
    """For tests that leave it as it is."""
    return tiny_model(**FEW_DRAWS)


@pytest.fixture(scope="module")
def folded(model):
    return mixmo_tf.deployment.fold(model)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda images: (images / 255).astype(np.float32), SCALED),
        (lambda images: (images / 255).astype(np.float64), SCALED),
        (lambda images: (images / 127.5 - 1).astype(np.float16), SCALED),
        (lambda images: ((images / 255 - 0.45) / 0.225).astype(np.float32), SCALED),
        (lambda images: images > 100, SCALED),
        (lambda images: (images - images.mean()) / images.std(), SCALED),
        (
            lambda images: np.where(np.arange(16) == 3, np.nan, images.T).T,
            "finite.* image 3 is not",
        ),
        (
            lambda images: np.where(np.arange(16) == 7, np.inf, images.T).T,
            "finite.* image 7 is not",
        ),
        (
            lambda images: np.where(np.arange(16) == 5, 1e39, images.T).T,
            "finite.* image 5 is not",
        ),
        (lambda images: images.astype(np.int32) - 10, "images must be pixels 0 to 255, got -10 to"),
        (lambda images: images.astype(np.uint16) * 257, "images must be pixels 0 to 255, got 0 to"),
        (lambda images: images * 100.0, "images must be pixels 0 to 255, got 0.0 to"),
        (lambda images: images.astype(str), "images must be an array of numbers, got .*str"),
        (lambda images: images.astype(object), "images must be an array of numbers"),
        (lambda images: images[0], "images must have the shape"),
    ],
    ids=(
        "float32 float64 float16 normalised bool standardised nan inf float64s negative uint16 "
        "large text object one"
    ).split(),
)
def test_images_that_cannot_be_right_are_refused(
    door, change, message, model, folded, pixels_and_labels
):
    images, labels = (array[:16] for array in pixels_and_labels)
    if door == "member_logits of a tensor" and change(images).dtype == object:
        pytest.skip("TensorFlow makes no tensor of objects")
    before = model.state()
    with pytest.raises(ValueError, match=message) as error:
        doors(model, folded, change(images), labels)[door]()
    assert "\n" not in str(error.value)
    if door == "validation_data":  # which is looked at after an epoch
        model.set_state(before)
    assert_same(before, model.state())


def test_what_looks_odd_but_is_right_passes(pixels_and_labels):
    images, labels = (array[:8] for array in pixels_and_labels)
    model = tiny_model(**FEW_DRAWS)
    model.compile("sgd", run_eagerly=True)  # each dtype would be traced anew
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for odd in (
            np.zeros_like(images, np.float32),  # all equal
            np.ones_like(images, np.float32),
            images % 2,  # uint8
            np.where(images > 100, 255.0, 0.0),
            np.where(images > 100, 11.0, -3.0),  # as scaling with a cubic kernel overshoots
            images.astype(np.float32),
        ):
            model.predict(odd, verbose=0)
            model.evaluate(odd, labels, verbose=0)
            model.member_logits(odd)
            model.fit(odd, labels, batch_size=8, verbose=0)


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_dataset_of_scaled_pixels_is_warned_of_once(replicas, pixels_and_labels):
    images, labels = pixels_and_labels
    if replicas == 1:
        model, scales = ready_model(**FEW_DRAWS), ((0, 1), (0.45, 0.225))
    else:
        with two_replicas().scope():
            model, scales = tiny_model(**ONE_MEMBER), ((0.45, 0.225),)
    for mean, std in scales:
        scaled = ((images / 255 - mean) / std).astype(np.float32)
        dataset = tf.data.Dataset.from_tensor_slices((scaled, labels)).batch(8)
        for door in (model.fit, model.evaluate, model.predict):
            assert not model.has_warned
            with pytest.warns(UserWarning, match=SCALED) as caught:
                for _ in range(2):
                    door(dataset, verbose=0)
            (said,) = [str(w.message) for w in caught if "must be pixels" in str(w.message)]
            assert said.startswith("a batch's images must") and said.endswith("as uint8)")
            model.has_warned = False  # as of another model


def test_datasets_of_pixels_are_not_warned_of(pixels_and_labels):
    model = ready_model(**FEW_DRAWS)
    dataset = tf.data.Dataset.from_tensor_slices(pixels_and_labels).batch(8)
    as_floats = dataset.map(lambda images, labels: (tf.cast(images, tf.float32), labels))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*pixels")
        for each in (dataset, as_floats):
            for door in (model.fit, model.evaluate, model.predict):
                door(each, verbose=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])  # the last in float32
def test_weights_that_are_not_finite_are_refused(bad, model, pixels_and_labels):
    images, labels = pixels_and_labels
    weights = np.ones(40)
    weights[5] = bad
    for door in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="sample_weight must be finite"):
            door(images, labels, batch_size=8, sample_weight=weights, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    for data in ((images, labels), (dataset,)):
        with pytest.raises(ValueError, match="class_weight of label 2 must be finite"):
            model.fit(*data, class_weight={0: 1.0, 2: bad}, verbose=0)


def test_weights_of_the_wrong_kind_or_number_are_refused(model, pixels_and_labels):
    images, labels = pixels_and_labels
    for weights, message in (
        (np.ones(39), r"sample_weight must have the shape \(40,\), got \(39,\)"),
        (np.ones((40, 2)), r"sample_weight must have the shape \(40,\), got \(40, 2\)"),
        (["a"] * 40, "sample_weight must be an array of numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(images, labels, batch_size=8, sample_weight=weights, verbose=0)
    for weights, message in (
        ([1, 1, 1, 1], "class_weight must be a dict of weights by label, got a list"),
        ({4: 1.0}, "labels of class_weight must be <= 3, got 4"),
        ({"cat": 1.0}, "labels of class_weight must be a number, got 'cat'"),
        ({1: "much"}, "class_weight of label 1 must be a number, got 'much'"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(images, labels, batch_size=8, class_weight=weights, verbose=0)


@pytest.mark.parametrize("columns", [False, True])
def test_a_class_without_a_weight_weighs_one(columns, pixels_and_labels):
    """In a dataset as in arrays; Keras looks it up outside its table."""
    images, labels = pixels_and_labels
    dataset = tf.data.Dataset.from_tensor_slices((images, labels[:, None] if columns else labels))
    model, losses = tiny_model(**ONE_MEMBER), []
    start = model.state()
    for weights in ({1: 3.0}, {0: 1.0, 1: 3.0, 2: 1.0, 3: 1.0}, {1: 2.0}):
        model.set_state(start)
        history = model.fit(dataset.batch(8), class_weight=weights, verbose=0)
        losses += history.history["loss"]
    assert losses[0] == losses[1] != losses[2]


def test_labels_that_are_not_as_many_as_the_images(model, pixels_and_labels):
    images, labels = pixels_and_labels
    message = "images and labels must be of the same examples, one or more, got {}"
    for call, numbers in (
        (lambda: model.evaluate(images, labels[:39], verbose=0), "40 and 39"),
        (lambda: model.fit(images[:8], labels, batch_size=8, verbose=0), "8 and 40"),
        (lambda: model.evaluate(images[:0], labels[:0], verbose=0), "0 and 0"),
    ):
        with pytest.raises(ValueError, match=message.format(numbers)):
            call()
    with pytest.raises(ValueError, match="labels must be an array of numbers, got None"):
        model.evaluate(images, verbose=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_predictions_of_no_images_are_empty(dtype, model):
    answers = model.predict(np.zeros((0, 16, 16, 3), dtype), verbose=0)
    assert answers.shape == (0, 4) and answers.dtype == np.float32


def test_predictions_of_a_dataset_without_a_batch_are_empty(model, pixels_and_labels):
    batches = tf.data.Dataset.from_tensor_slices(pixels_and_labels[0]).batch(8)
    for none in (batches.take(0), batches.filter(lambda images: False)):
        answers = model.predict(none, verbose=0)
        assert answers.shape == (0, 4) and answers.dtype == np.float32
    assert model.predict(batches, verbose=0).shape == (40, 4)


def test_predictions_between_steps_leave_fit_as_it_was(pixels_and_labels):
    """It tells data that ends from data that never begins, whatever a callback asks meanwhile."""
    model = tiny_model(**ONE_MEMBER)
    data = tf.data.Dataset.from_tensor_slices(pixels_and_labels).batch(8)
    images = data.map(lambda images, labels: images)

    class Asks(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            model.predict(images, verbose=0)
            model.evaluate(data, verbose=0)

        def on_train_batch_end(self, batch, logs=None):
            model.predict(images.take(0), verbose=0)

    model.fit(data, epochs=2, callbacks=[Asks()], verbose=0)
    assert int(model.step.numpy()) == 10
    with pytest.raises(ValueError, match="the dataset gave no batch to train on"):
        model.fit(data.filter(lambda *_: False), callbacks=[Asks()], verbose=0)
