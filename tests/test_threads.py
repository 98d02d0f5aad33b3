"""Eight threads share a model: each gets the answer to its own images, whatever the format."""

import concurrent.futures
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from small_models import as_if_trained, tiny_model, tiny_network

import mixmo_tf
from mixmo_tf import deployment

FILES = {
    "a run": "run",
    "a .keras file": "run/model.keras",
    "a folded .keras file": "folded.keras",
    "a deep ensemble": "ensemble.keras",
    "a SavedModel": "exported",
    "an ONNX file": "exported/model.onnx",
    "a LiteRT file": "exported/model_float32.tflite",
    "a LiteRT file of int8": "exported/model_int8.tflite",
}
THREADS = 8
CLOSE = {"rtol": 0, "atol": 1e-5}


def images():
    """Black ones to white ones, so that no two batches have the same answer."""
    levels = np.linspace(0, 255, 40)[:, None, None, None] * np.ones((16, 16, 3))
    return levels.astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    model = as_if_trained(tiny_model())
    (path / "run").mkdir()
    model.save(path / "run/model.keras")
    folded = deployment.fold(model)
    folded.save(path / "folded.keras")
    other = mixmo_tf.MixMo(tiny_network(1), mixing=None)
    mixmo_tf.DeepEnsemble([model, other]).save(path / "ensemble.keras")
    formats = ["saved_model", "onnx", "litert"]
    deployment.export(folded, path / "exported", formats, calibration_images=images())
    return path


@pytest.fixture(autouse=True)
def many_turns():
    """Python's threads take turns every ten microseconds, which brings out what must not be."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def batches():
    """Of one to five images, as one interpreter would have to change its shape between them."""
    return [images()[start : start + 1 + start % 5] for start in range(36)]


def answers_of_threads(ask):
    """The answers to all batches, each from one of eight threads that begin at once."""
    start = threading.Barrier(THREADS)

    def work(number):
        start.wait()
        return [ask(batch) for batch in batches()[number::THREADS]]

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(work, range(THREADS)))
    return [answers[i % THREADS][i // THREADS] for i in range(len(batches()))]


@pytest.mark.parametrize("kind", FILES)
def test_threads_that_share_a_model_get_their_own_answers(kind, folder):
    alone = mixmo_tf.load(folder / FILES[kind])
    expected = [alone.predict(batch, verbose=0) for batch in batches()]
    assert np.ptp(np.concatenate(expected), axis=0).max() > 0.05
    shared = mixmo_tf.load(folder / FILES[kind])  # which was never asked: all begin at once
    for _ in range(3):
        answers = answers_of_threads(lambda batch: shared.predict(batch, verbose=0))
        for ours, theirs in zip(answers, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, **CLOSE)


def test_threads_that_ask_datasets_and_members(folder):
    shared = mixmo_tf.load(folder / "run")
    expected = [shared.predict(batch, verbose=0) for batch in batches()]
    members = [shared.member_logits(batch) for batch in batches()]

    def of_dataset(batch):
        dataset = tf.data.Dataset.from_tensor_slices(batch).batch(2)
        return shared.predict(dataset, verbose=0)

    for ask, right in ((of_dataset, expected), (shared.member_logits, members)):
        for ours, theirs in zip(answers_of_threads(ask), right, strict=True):
            np.testing.assert_allclose(ours, theirs, **CLOSE)


def test_threads_that_share_a_signature(folder):
    signature = tf.saved_model.load(folder / "exported").signatures["serving_default"]
    expected = mixmo_tf.load(folder / "exported")
    answers = answers_of_threads(lambda b: signature(images=tf.constant(b))["probabilities"])
    for ours, batch in zip(answers, batches(), strict=True):
        np.testing.assert_allclose(ours, expected.predict(batch, verbose=0), **CLOSE)


def test_a_litert_file_has_no_more_interpreters_than_processors(folder, monkeypatch):
    """Each takes the memory of its weights; and one that failed is not asked again."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    shared = mixmo_tf.load(folder / FILES["a LiteRT file"])
    made = []
    make = shared._interpreter
    monkeypatch.setattr(shared, "_interpreter", lambda: made.append(1) or make())
    answers_of_threads(shared.predict)
    assert len(made) <= 1  # beside the first

    class Fails:
        def __call__(self, images):
            raise RuntimeError("failed")

    shared._idle[:] = [Fails()]
    with pytest.raises(RuntimeError, match="failed"):
        shared.predict(images())
    assert shared.predict(images()).shape == (40, 4) and len(shared._idle) == 1
