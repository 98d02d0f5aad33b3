"""Right requests are answered right, all others refused: by the files, and by what `load` gives."""

import re

import hostile_requests
import numpy as np
import pytest
import tensorflow as tf
from hostile_requests import IMAGES, NO_ARRAYS, RIGHT, SAME, SHAPES, VALUES
from small_models import as_if_trained, tiny_network

import mixmo_tf
from mixmo_tf import deployment, formats

FILES = {
    "a run": "run",
    "a .keras file": "run/model.keras",
    "a folded .keras file": "folded.keras",
    "a SavedModel": "exported",
    "an ONNX file": "exported/model.onnx",
    "a LiteRT file": "exported/model_float32.tflite",
    "a LiteRT file of int8": "exported/model_int8.tflite",
}
READ = [
    ("signature", "exported"),
    ("session", "exported"),
    ("onnx_runtime", "exported/model.onnx"),
    ("litert", "exported/model_float32.tflite"),
    ("litert", "exported/model_float16.tflite"),
    ("litert", "exported/model_int8.tflite"),
    ("litert_without_xnnpack", "exported/model_float32.tflite"),
]
EXPECTED = {  # how each says which shape is right
    "signature": r"expected shape \[\?,16,12,3\]",
    "session": r"expected shape \[\?,16,12,3\]",
    "onnx_runtime": r"Expected: (4|16|12|3)\b",
    "litert": r"\d != (4|16|12|3)\)",
    "litert_without_xnnpack": r"\d != (4|16|12|3)\)",
}
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model as if it were trained, in every form, and what it says of `IMAGES`."""
    path = tmp_path_factory.mktemp("models")
    network = tiny_network(image_shape=hostile_requests.SHAPE)
    model = mixmo_tf.MixMo(network, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    model.compile("sgd")
    as_if_trained(model)
    (path / "run").mkdir()
    model.save(path / "run/model.keras")
    folded = deployment.fold(model)
    folded.save(path / "folded.keras")
    deployment.export(
        folded, path / "exported", list(formats.FORMATS), calibration_images=IMAGES, input="jpeg"
    )
    expected = model.predict(IMAGES, verbose=0)
    assert np.ptp(expected, axis=0).max() > 0.01  # the images can be told apart
    np.save(path / "expected.npy", expected)
    return path


def tolerance(file):
    return 0.1 if "int8" in file else 5e-3 if "float16" in file else 1e-5


@pytest.mark.parametrize("kind", FILES)
def test_what_load_gives_answers_or_refuses_in_one_sentence(kind, folder):
    model = mixmo_tf.load(folder / FILES[kind])
    expected = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(
        expected, np.load(folder / "expected.npy"), rtol=0, atol=tolerance(FILES[kind])
    )
    refused = {**VALUES, **NO_ARRAYS, **{name: np.zeros(shape) for name, shape in SHAPES.items()}}
    for name, request in refused.items():
        with pytest.raises(ValueError) as error:
            model.predict(request, verbose=0)
        said = str(error.value)
        assert "\n" not in said and len(said) < 300, (name, said)
        right = re.search(r"\(n, (16, 12, 3|height, width, channels)\)", said)
        assert name not in SHAPES or right, (name, said)
    for name, request in {**RIGHT, **SAME}.items():
        answer = model.predict(request, verbose=0)
        pixels = hostile_requests.as_pixels(name)
        assert answer.shape == (len(pixels), 4) and answer.dtype == np.float32, name
        close = {"rtol": 0, "atol": 5e-3} if name == "rounded to them" else CLOSE
        np.testing.assert_allclose(answer, model.predict(pixels, verbose=0), **close, err_msg=name)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, **CLOSE)


@pytest.fixture(scope="module")
def said_by_files(folder):
    files = [(reader, folder / file) for reader, file in READ]
    return dict(zip(READ, hostile_requests.answers_of(files), strict=True))


@pytest.mark.parametrize(("reader", "file"), READ)
def test_each_file_answers_or_refuses_by_itself(reader, file, folder, said_by_files):
    said, last = said_by_files[reader, file]
    expected = np.load(folder / "expected.npy")
    np.testing.assert_allclose(last, expected, rtol=0, atol=tolerance(file))
    loaded = mixmo_tf.load(folder / file)
    for name, answer in said.items():
        if name in SHAPES:
            assert isinstance(answer, str), (name, answer)
            assert re.search(EXPECTED[reader], answer), (name, answer)
        elif name in VALUES:
            assert isinstance(answer, str), (name, answer)
        elif name in RIGHT or not isinstance(answer, str):
            pixels = hostile_requests.as_pixels(name)
            answer = np.reshape(answer, (len(pixels), 4))
            np.testing.assert_allclose(answer, loaded.predict(pixels, verbose=0), **CLOSE)
    answers_none = not isinstance(said["none"], str)
    assert answers_none or reader == "litert"


def test_bytes_have_one_axis(folder):
    loaded = tf.saved_model.load(folder / "exported")
    signature = loaded.signatures["serving_bytes"]
    jpeg = tf.io.encode_jpeg(IMAGES[0]).numpy()
    assert signature(image_bytes=tf.constant([jpeg]))["probabilities"].shape == (1, 4)
    assert signature(image_bytes=tf.constant([], tf.string))["probabilities"].shape == (0, 4)
    for wrong in (jpeg, [[jpeg]]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"expected shape \[\?\]"):
            signature(image_bytes=tf.constant(wrong))
