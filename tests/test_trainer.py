"""Executions of several steps, and what this package takes from inside Keras."""

import inspect
import os
import sys

import forking
import keras
import numpy as np
import pytest
from scripts_at_work import ROOT
from small_models import FEW_DRAWS, ready_model, tiny_model

from mixmo_tf.models.trainer import Trainer


def test_steps_per_execution_changes_no_number(pixels_and_labels):
    """40 images are 5 steps: executions of 3 and 2, none beyond the epoch's last."""
    images, labels = pixels_and_labels
    found = []
    for steps, eagerly in ((1, False), (3, False), (3, True)):
        model = (ready_model if steps == 1 else tiny_model)(**FEW_DRAWS)
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
        found.append((model.get_weights(), history.history))
    (weights, history), *others = found
    for other_weights, other_history in others:  # in a graph, and eagerly
        for ours, theirs in zip(weights, other_weights, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
        assert history.keys() == other_history.keys()
        for name in history:
            assert history[name] == pytest.approx(other_history[name], rel=1e-5), name


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

model = tiny_model(jit_compile=True, num_members=1, augmentation="none")
images, labels = np.zeros((40, 16, 16, 3), np.uint8), np.arange(40) % 4
show = lambda epoch, logs: print(epoch, programs(), flush=True)
model.fit(
    images, labels, batch_size=8, epochs=3, verbose=0, validation_data=(images[:37], labels[:37]),
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=show)],
)
"""


def test_xla_compiles_nothing_anew_in_the_steady_state(tmp_path):
    """Three epochs with evaluation between: XLA itself writes down each program it compiles."""
    flags = f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text --xla_backend_optimization_level=0"
    environment = {**os.environ, "XLA_FLAGS": flags}  # optimizing takes the most time
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
    model = ready_model(**FEW_DRAWS)
    assert model._loss_tracker.name == "loss"
    assert [metric.name for metric in model._compile_metrics.metrics] == ["accuracy"]
    model.fit(*pixels_and_labels, batch_size=8, verbose=0)
    model.evaluate(*pixels_and_labels, batch_size=8, verbose=0)
    model.predict(pixels_and_labels[0], verbose=0)
    assert called == set(INTERNALS), f"keras {keras.__version__} calls {sorted(called)} alone"
