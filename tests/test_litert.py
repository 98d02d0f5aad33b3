import numpy as np
import pytest
import tensorflow as tf
from small_models import as_if_trained, tiny_model

import mixmo_tf
from mixmo_tf.deployment import fold
from mixmo_tf.formats import litert
from mixmo_tf.networks import set_precision


@pytest.fixture
def trained(pixels_and_labels):
    model = tiny_model(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    return as_if_trained(model), pixels_and_labels[0]


def test_each_dtype_answers_like_the_model(tmp_path, trained):
    model, images = trained
    expected = model.predict(images, verbose=0)
    assert np.ptp(expected) > 0.1
    for dtype, tolerance in (("float32", 1e-5), ("float16", 5e-3), ("int8", 0.1)):
        file = tmp_path / f"{dtype}.tflite"
        calibration = images if dtype == "int8" else None
        litert.write(fold(model), file, dtype, calibration)
        answers = mixmo_tf.load(file).predict(images, batch_size=16)
        np.testing.assert_allclose(answers, expected, atol=tolerance)
    steps = 256 * answers  # the last are int8's
    np.testing.assert_allclose(steps, steps.round(), atol=1e-4)
    model.export(tmp_path / "members.tflite", format="litert")
    answers = mixmo_tf.load(tmp_path / "members.tflite").predict(images)
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_smaller_weights_take_less_room(tmp_path):
    model = mixmo_tf.MixMo(mixmo_tf.networks.wide_resnet(10, 2, 1, 4), mixing=None)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    sizes = {}
    for dtype in litert.DTYPES:
        litert.write(model, tmp_path / dtype, dtype, images)
        sizes[dtype] = (tmp_path / dtype).stat().st_size
    assert sizes["float16"] < 0.6 * sizes["float32"] and sizes["int8"] < 0.4 * sizes["float32"]


def test_bad_input_is_named(tmp_path, trained):
    model, images = trained
    file = tmp_path / "x.tflite"
    with pytest.raises(ValueError, match="dtype must be one of float32, float16, int8, got 'int4'"):
        litert.write(model, file, "int4")
    with pytest.raises(ValueError, match="int8 needs calibration images"):
        litert.write(model, file, "int8")
    set_precision(model.network, "mixed_float16")
    with pytest.raises(ValueError, match="a LiteRT file is for networks that compute in float32"):
        litert.write(model, file)
    assert not file.exists()
    file.write_bytes(b"no model")
    with pytest.raises(ValueError, match="LiteRT file: it is damaged or cut short"):
        mixmo_tf.load(file)
    tiny_model().export(tmp_path / "whole.tflite", format="litert")
    whole = (tmp_path / "whole.tflite").read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="LiteRT file: it is damaged or cut short"):
        mixmo_tf.load(file)
    with pytest.raises(FileNotFoundError, match="there is no LiteRT file at"):
        mixmo_tf.load(tmp_path / "none.tflite")


def test_an_operation_of_tensorflow_is_refused(tmp_path):
    """A converter can put any of TensorFlow's into a file, such as one that writes files."""

    @tf.function(input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.uint8, name="images")])
    def writes(images):
        with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "executed")]):
            return {"probabilities": tf.reduce_mean(tf.cast(images, tf.float32), (1, 2))}

    concrete = writes.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    ours, theirs = tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS
    converter.target_spec.supported_ops = [ours, theirs]
    (tmp_path / "x.tflite").write_bytes(converter.convert())
    with pytest.raises(ValueError, match="it has the operation 'FlexWriteFile', which is not Lite"):
        mixmo_tf.load(tmp_path / "x.tflite")
    assert not (tmp_path / "written").exists()


def test_images_and_calibration_images_are_checked(tmp_path, trained):
    model, images = trained
    model.export(tmp_path / "x.tflite", format="litert")
    loaded = mixmo_tf.load(tmp_path / "x.tflite")
    for wrong in (images[0], images[:, :8], images[..., :1]):
        with pytest.raises(ValueError, match=r"images must have the shape \(n, 16, 16, 3\) of the"):
            loaded.predict(wrong)
    assert loaded.predict(images[:0]).shape == (0, 4)
    expected = loaded.predict(images, batch_size=None, verbose=0)
    np.testing.assert_array_equal(loaded.predict(images + 0.4), expected)  # floats are rounded
    for wrong in (images[:0], images[:, :8], images / 255):
        with pytest.raises(ValueError, match=r"must be uint8 \(n, 16, 16, 3\), got"):
            litert.write(model, tmp_path / "y.tflite", "int8", wrong)
