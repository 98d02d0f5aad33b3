"""Executions of several steps, and what this package takes from inside Keras."""

import inspect
import os
import sys

import forking
import keras
import numpy as np
import pytest
from scripts_at_work import ROOT
from small_models import ready_model, tiny_model

from mixmo_tf.models.trainer import Trainer


@pytest.mark.parametrize("eagerly", [False, True], ids=["compiled", "eagerly"])
def test_steps_per_execution_changes_no_number(pixels_and_labels, eagerly):
    """40 images are 5 steps: executions of 3 and 2, none beyond the epoch's last."""
    images, labels = pixels_and_labels
    weights, histories = [], []
    for steps in (1, 3):
        model = ready_model() if steps == 1 else tiny_model()
        if steps > 1:
            model.compile(
                keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
                metrics=["accuracy"],
                steps_per_execution=steps,
                run_eagerly=eagerly,
            )
        history = model.fit(
            images, labels, batch_size=8, epochs=2, verbose=0, validation_data=(images, labels)
        )
        assert int(model.step.numpy()) == 10
        weights.append(model.get_weights())
        histories.append(history.history)
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    for name in histories[0]:
        assert histories[0][name] == pytest.approx(histories[1][name], rel=1e-5), name


def test_steps_per_execution_ends_with_the_data(pixels_and_labels):
    images, labels = pixels_and_labels
    model = tiny_model()
    model.compile("sgd", metrics=["accuracy"], steps_per_execution=64)
    one = model.evaluate(images, labels, batch_size=16, verbose=0, return_dict=True)
    model.compile("sgd", metrics=["accuracy"])
    assert one == pytest.approx(model.evaluate(images, labels, verbose=0, return_dict=True))
    with pytest.raises(ValueError, match="steps_per_execution must be >= 1, got 0"):
        model.compile(steps_per_execution=0)


COUNT_XLA_PROGRAMS = """
import pathlib, sys
sys.path.insert(0, "tests")
import keras, numpy as np
from small_models import tiny_model
from scripts_at_work import ROOT

def programs():
    return len(list(pathlib.Path(sys.argv[1]).glob("*before_optimizations.txt")))

model = tiny_model(jit_compile=True, mixing="linear", alpha=0.0, augmentation="none")
images, labels = np.zeros((40, 16, 16, 3), np.uint8), np.arange(40) % 4
show = lambda epoch, logs: print(epoch, programs(), flush=True)
model.fit(
    images, labels, batch_size=8, epochs=3, verbose=0, validation_data=(images[:37], labels[:37]),
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=show)],
)
"""


def test_xla_compiles_nothing_anew_in_the_steady_state(tmp_path):
    """Three epochs with evaluation between: XLA itself writes down each program it compiles."""
    environment = {**os.environ, "XLA_FLAGS": f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"}
    result = forking.run(
        [sys.executable, "-c", COUNT_XLA_PROGRAMS, tmp_path],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    counts = [line.split() for line in result.stdout.splitlines()[-3:]]
    assert counts == [["0", "1"], ["1", "1"], ["2", "1"]], result.stdout + result.stderr


INTERNALS = {  # what our models override of Keras', and the arguments that Keras passes
    "make_train_function": ["self", "force"],
    "make_test_function": ["self", "force"],
    "make_predict_function": ["self", "force"],
    "_get_metrics_result_or_logs": ["self", "logs"],
    "_maybe_symbolic_build": ["self", "iterator", "data_batch"],
}


@pytest.mark.parametrize("name", INTERNALS)
def test_keras_still_has_what_our_models_override(name):
    message = f"keras {keras.__version__} changed Model.{name}: see Predictor and Trainer"
    method = getattr(keras.Model, name, None)
    assert method is not None, message
    assert list(inspect.signature(method).parameters) == INTERNALS[name], message


def test_keras_calls_what_our_models_override(pixels_and_labels, monkeypatch):
    called = set()
    for name in INTERNALS:
        method = getattr(Trainer, name)

        def noted(self, *args, name=name, method=method, **kwargs):
            called.add(name)
            return method(self, *args, **kwargs)

        monkeypatch.setattr(Trainer, name, noted)
    model = tiny_model()
    assert model._loss_tracker.name == "loss"
    assert [metric.name for metric in model._compile_metrics.metrics] == ["accuracy"]
    model.fit(*pixels_and_labels, batch_size=20, verbose=0)
    model.evaluate(*pixels_and_labels, verbose=0)
    model.predict(pixels_and_labels[0], verbose=0)
    assert called == set(INTERNALS), f"keras {keras.__version__} calls {sorted(called)} alone"
