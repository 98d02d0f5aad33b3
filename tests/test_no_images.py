"""No images, or a replica's share of none, get an empty answer on every path.

oneDNN's convolution, on a processor with AVX-512, gives an empty batch a wrong shape, so none
may come to a convolution. The encoders here check that, on any processor, in exported graphs too.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import assert_same, two_replicas

import mixmo_tf
from mixmo_tf import deployment, evaluation
from mixmo_tf.data import stream


@keras.saving.register_keras_serializable(package="tests")
class NotEmpty(keras.layers.Layer):
    """Hands on its input, which must have a row."""

    def call(self, x):
        check = tf.debugging.Assert(tf.shape(x)[0] > 0, ["an empty batch came to a convolution"])
        with tf.control_dependencies([check] if check is not None else []):
            return tf.identity(x)


def network(num_members, guarded=True):
    def encoder(member, image):
        if guarded:
            image = NotEmpty(name=f"guard_{member}")(image)
        return keras.layers.Conv2D(8, 3, padding="same", name=f"encoder_{member}")(image)

    def core(x):
        return keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))

    return mixmo_tf.networks.build("guarded", encoder, core, num_members, 4, (16, 16, 3), "zeros")


def model(num_members=2, guarded=True, **options):
    mixing = "linear" if num_members > 1 else None
    simple = {"mixing": mixing, "augmentation": "none", "alpha": 0, "batch_repetitions": 1}
    return mixmo_tf.MixMo(network(num_members, guarded), **simple, **options)


NONE = np.zeros((0, 16, 16, 3), np.uint8)


@functools.cache
def models():
    several = [model(), model(1), model(ensemble="probabilities")]
    folded = deployment.fold(model(guarded=False))
    return *several, mixmo_tf.DeepEnsemble([model(), model(1)]), folded


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_model_answers_no_images(dtype):
    images = NONE.astype(dtype)
    for each in models():
        of_none = tf.function(each.member_logits, reduce_retracing=True)
        for answer in (each.member_logits(images), of_none(images)):
            assert answer.shape == (0, each.num_members, 4)
        of_any = tf.function(each, input_signature=[tf.TensorSpec((None, 16, 16, 3), dtype)])
        assert of_any(images).shape == each(images).shape == (0, 4)
        assert of_any(images[:0]).dtype == tf.float32


def test_the_guard_guards():
    with pytest.raises(tf.errors.InvalidArgumentError, match="an empty batch came"):
        model(1).network({"image_0": tf.zeros(NONE.shape)})


@pytest.fixture(scope="module")
def on_replicas():
    with two_replicas().scope():
        ours = model()
        ours.compile(metrics=["accuracy"])
    return ours


@pytest.mark.parametrize("num_images", [1, 5, 9])
def test_replicas_without_a_share(num_images, on_replicas):
    """Batches of 8 for two replicas: the second gets no image of the last."""
    images, labels = np.zeros((num_images, 16, 16, 3), np.uint8), np.zeros(num_images, int)
    ours = on_replicas
    results = ours.evaluate(images, labels, batch_size=8, verbose=0, return_dict=True)
    assert results["loss"] == pytest.approx(np.log(4)) and results["accuracy"] == 1
    assert ours.predict(images, batch_size=8, verbose=0).shape == (num_images, 4)


def filtered(images, labels, kept):
    """Batches of four, of which some lose all their rows."""
    batches = tf.data.Dataset.from_tensor_slices((images, labels, kept)).batch(4)
    batches = batches.map(lambda x, y, keep: (tf.boolean_mask(x, keep), tf.boolean_mask(y, keep)))
    return batches.with_options(stream.without_autotune())


def test_filtered_batches():
    images, labels = np.zeros((16, 16, 16, 3), np.uint8), np.arange(16) % 4
    batches = filtered(images, labels, [False] * 4 + [True] * 8 + [False] * 4)
    ours = model()
    ours.compile("sgd", metrics=["accuracy"])
    results = ours.evaluate(batches, verbose=0, return_dict=True)
    assert results["loss"] == pytest.approx(np.log(4))
    logits, of_images = evaluation.predict(ours, batches)
    assert logits.shape == (8, 2, 4) and of_images.tolist() == [0, 1, 2, 3] * 2
    assert ours.predict(batches.map(lambda x, y: x), verbose=0).shape == (8, 4)
    history = ours.fit(batches, verbose=0).history
    assert int(ours.step.numpy()) == 2 and np.isfinite(history["loss"]).all()


def test_training_on_a_batch_without_images_is_refused():
    ours = model()
    ours.compile("sgd")
    before = ours.get_weights()
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="must have images"):
        ours.fit(((NONE, np.zeros(0, int)) for _ in range(3)), verbose=0)
    assert_same(before, ours.get_weights())


def test_exported_models_answer_no_images(tmp_path):
    ours = model()
    ours.export(tmp_path / "saved_model")
    signature = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    answers = signature(images=tf.constant(NONE))
    assert answers["probabilities"].shape == (0, 4)
    assert answers["member_logits"].shape == (0, 2, 4)
    assert signature(images=tf.zeros((3, 16, 16, 3), tf.uint8))["probabilities"].shape == (3, 4)

    plain = model(guarded=False)  # LiteRT has no assertion
    for file, form in (("model.onnx", "onnx"), ("model.tflite", "litert")):
        plain.export(tmp_path / file, format=form)
        loaded = mixmo_tf.load(tmp_path / file)
        answer = loaded.predict(NONE)
        assert answer.shape == (0, 4) and answer.dtype == np.float32
        assert loaded.predict(np.zeros((3, 16, 16, 3), np.uint8)).shape == (3, 4)


def test_a_signature_from_before_is_given_no_empty_batch(tmp_path):
    """Older SavedModels did not look after it themselves."""
    from mixmo_tf.formats import saved_model, signature

    ours = model()
    saved_model.write_served(signature.Served(ours, takes_none=False), tmp_path)
    signature.write_description(ours, tmp_path, {})
    loaded = mixmo_tf.load(tmp_path)
    assert loaded.member_logits(NONE).shape == (0, 2, 4)
