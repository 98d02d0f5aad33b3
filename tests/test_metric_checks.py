"""Metrics that cannot evaluate by integer labels and probabilities are refused, in a line."""

import keras
import pytest
from small_models import tiny_model, tiny_network, two_replicas

import mixmo_tf
from mixmo_tf.models import metric_checks
from mixmo_tf.training import checkpoints

USABLE = (
    lambda C: keras.metrics.SparseCategoricalAccuracy(),
    lambda C: keras.metrics.SparseTopKCategoricalAccuracy(min(C, 2)),
    lambda C: keras.metrics.SparseCategoricalCrossentropy(),
    lambda C: keras.metrics.MeanIoU(C, sparse_y_pred=False),
    lambda C: keras.metrics.MeanMetricWrapper(lambda labels, p: keras.ops.max(p, axis=1)),
)
UNUSABLE = (
    lambda C: keras.metrics.AUC(),
    lambda C: keras.metrics.AUC(multi_label=True),
    lambda C: keras.metrics.Precision(),
    lambda C: keras.metrics.F1Score(),
    lambda C: keras.metrics.CategoricalCrossentropy(),
    lambda C: keras.metrics.MeanSquaredError(),
    lambda C: keras.metrics.MeanIoU(C),
    lambda C: keras.metrics.Mean(),
    # These give a number, but a wrong one.
    lambda C: keras.metrics.CategoricalAccuracy(),
    lambda C: keras.metrics.Recall(class_id=0),
    lambda C: keras.metrics.Recall(class_id=1),
)


@pytest.mark.parametrize("num_classes", [2, 4, 11, 100])
def test_each_metric_is_taken_or_refused(num_classes, monkeypatch):
    monkeypatch.setattr(metric_checks, "_KNOWN", ())  # those too that are not tried
    for make in USABLE:
        metric_checks.check([make(num_classes)], num_classes)
    for make in UNUSABLE:
        metric = make(num_classes)
        with pytest.raises(metric_checks.UnusableMetricError) as error:
            metric_checks.check([metric], num_classes)
        assert str(error.value) == (
            "metrics must take integer labels (n,) and probabilities (n, C), as accuracy and "
            f"those that are called Sparse do; {metric.name} does not"
        )


def test_what_a_metric_has_summed_up_stays():
    metric = keras.metrics.SparseTopKCategoricalAccuracy(1)
    metric.update_state([1, 0], [[0.0, 1.0], [0.0, 1.0]])
    metric_checks.check([metric], 2)
    assert float(metric.result()) == 0.5


@pytest.mark.parametrize("replicas", [1, 2])
def test_compile_says_it(pixels_and_labels, replicas):
    def evaluated(model):
        return model.evaluate(*pixels_and_labels, batch_size=40, verbose=0, return_dict=True)

    def compile_and_evaluate():
        model = tiny_model()
        for name in ("auc", "categorical_accuracy"):
            with pytest.raises(ValueError, match=f"as accuracy and .*; {name} does not"):
                model.compile("sgd", metrics=["accuracy", name])
        with pytest.raises(ValueError, match="; precision does not"):
            model.compile("sgd", weighted_metrics=[keras.metrics.Precision(name="precision")])
        model.compile("sgd")
        assert "accuracy" not in evaluated(model)
        model.compile("sgd", metrics=["accuracy", "sparse_top_k_categorical_accuracy"])
        results = evaluated(model)
        assert results["sparse_top_k_categorical_accuracy"] == 1  # five of four classes

    if replicas == 1:
        compile_and_evaluate()
    else:
        with two_replicas().scope():
            compile_and_evaluate()


def test_a_file_with_such_a_metric_is_loaded_without(monkeypatch, tmp_path):
    model = tiny_model()
    monkeypatch.setattr(metric_checks, "check", lambda *_: None)  # as it was written once
    model.compile("sgd", metrics=["accuracy", "categorical_accuracy"])
    model.save(tmp_path / "old.keras")
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="categorical_accuracy does not; the model is loaded"):
        loaded = checkpoints.load_model(tmp_path / "old.keras")
    assert loaded.compiled and isinstance(loaded.optimizer, keras.optimizers.SGD)
    assert mixmo_tf.MixMo(tiny_network()).compile("sgd") is None  # without any
