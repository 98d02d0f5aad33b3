import functools
import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from scripts_at_work import exit_messages, said_of
from small_models import as_if_trained, tiny_model

import mixmo_tf

NAMES = ["ant", "bee", "cat", "dog"]


@functools.cache
def models():
    """Three models of different weights, which stay: M = 2, M = 2, and a plain network."""
    built = [tiny_model(class_names=NAMES, num_members=m) for m in (2, 2, 1)]
    return tuple(as_if_trained(model, seed) for seed, model in enumerate(built))


def test_its_members_are_the_models(pixels_and_labels):
    images, _ = pixels_and_labels
    members = models()
    logits = [model.ensemble_logits(model.member_logits(images)).numpy() for model in members]
    for ensemble in ("logits", "probabilities"):
        together = mixmo_tf.DeepEnsemble(members, ensemble=ensemble)
        np.testing.assert_allclose(together.member_logits(images), np.stack(logits, 1), atol=1e-6)
        by_hand = {
            "logits": tf.nn.softmax(np.mean(logits, axis=0)),
            "probabilities": np.mean(tf.nn.softmax(logits), axis=0),
        }
        np.testing.assert_allclose(together(images), by_hand[ensemble], atol=1e-6)


def test_it_is_evaluated_beside_its_models(pixels_and_labels):
    """With their own answers as the labels, so that each model is right another number of times."""
    images, _ = pixels_and_labels
    members = models()
    answers = [model.predict(images, verbose=0).argmax(axis=1) for model in members]
    labels = np.concatenate([answers[0][:20], answers[1][20:35], answers[2][35:]])
    together = mixmo_tf.DeepEnsemble(members)
    together.compile(metrics=["accuracy"])
    results = together.evaluate(images, labels, verbose=0, return_dict=True)
    accuracies = []
    for model in members:
        model.compile(metrics=["accuracy"], run_eagerly=True)
        alone = model.evaluate(images, labels, verbose=0, return_dict=True)
        accuracies.append(alone["accuracy"])
    assert len(set(accuracies)) == 3  # so that their order shows
    assert [results[f"member_{i}_accuracy"] for i in range(3)] == pytest.approx(accuracies)
    predicted = together.member_logits(images).numpy().argmax(axis=2)
    expected = mixmo_tf.evaluation.ratio_error(predicted, labels)
    assert results["ratio_error"] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(together.predict(images, verbose=0), together(images), atol=1e-6)


def test_it_is_saved_and_exported_as_one(tmp_path, pixels_and_labels):
    images, _ = pixels_and_labels
    together = mixmo_tf.DeepEnsemble(models(), ensemble="probabilities")
    together.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(loaded(images), together(images))
    assert loaded.class_names == tuple(NAMES) and loaded.ensemble == "probabilities"

    loaded.export(tmp_path / "exported")
    signature = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    answer = signature(images=tf.constant(images))
    np.testing.assert_allclose(answer["probabilities"], together(images), atol=1e-5)
    assert answer["member_probabilities"].shape == (40, 3, 4)
    assert (tmp_path / "exported/class_names.txt").read_text().split() == NAMES


def test_what_cannot_be_one_ensemble_is_named():
    first, second, _ = models()
    for models_, message in (
        ([first], "models must be a list of two or more"),
        (first, "models must be a list of two or more"),
        ([first, "runs/b"], "models must be MixMo models, got a str"),
        ([first, second, first], "models must be different, got the same network twice"),
    ):
        with pytest.raises(ValueError, match=message):
            mixmo_tf.DeepEnsemble(models_)
    other = tiny_model(class_names=["ant", "bee", "cat", "cow"])
    with pytest.raises(ValueError, match="same class_names: model 0 has .*dog.* model 1 has .*cow"):
        mixmo_tf.DeepEnsemble([first, other])
    other = tiny_model(class_names=NAMES, ensemble="probabilities")
    with pytest.raises(ValueError, match="same ensemble: model 0 has logits, model 1 has prob"):
        mixmo_tf.DeepEnsemble([first, other])
    assert mixmo_tf.DeepEnsemble([first, other], ensemble="logits").num_members == 2
    together = mixmo_tf.DeepEnsemble([first, second])
    together.compile(metrics=["accuracy"])
    with pytest.raises(AttributeError, match="^a DeepEnsemble is not trained: train the MixMo"):
        together.fit(np.zeros([4, 16, 16, 3]), np.zeros([4]))


def test_what_is_not_trained_has_no_fit_and_counts_no_step():
    first, second, _ = models()
    together, folded = mixmo_tf.DeepEnsemble([first, second]), mixmo_tf.deployment.fold(first)
    assert len(together.variables) == len(first.variables) + len(second.variables)
    assert len(folded.variables) == len(folded.network.variables)
    for predictor in (together, folded):
        assert not hasattr(predictor, "fit") and not hasattr(predictor, "train_on_batch")
        with pytest.raises(ValueError, match=f"the loss is the {type(predictor).__name__}'s own"):
            predictor.compile(loss="mse")
    assert hasattr(first, "fit") and hasattr(first, "train_on_batch")


def test_what_an_older_file_says_of_training_is_passed_over(pixels_and_labels):
    """Up to version 0.2 every model was compiled with an optimizer."""
    first, second, _ = models()
    together = mixmo_tf.DeepEnsemble([first, second])
    then = first.get_compile_config()
    assert {"optimizer", "jit_compile", "metrics"} <= set(then)
    together.compile_from_config(then)
    assert together.optimizer is None
    results = together.evaluate(*pixels_and_labels, verbose=0, return_dict=True)
    assert "accuracy" in results


def test_the_scripts_evaluate_keep_and_export_it(finished, tmp_path):
    path, _, _ = finished
    other = tmp_path / "other"
    shutil.copytree(path, other)
    output = tmp_path / "together"
    said = said_of("evaluate", f"--model={path},{other}", f"--output_dir={output}")
    alone = json.loads((path / "metrics.json").read_text())
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["accuracy"] == pytest.approx(alone["accuracy"])  # twice the same run
    assert metrics["member_accuracy"] == pytest.approx([alone["accuracy"]] * 2)
    assert metrics["models"] == [str(path), str(other)] and metrics["ratio_error"] == 0
    accuracy = f"{100 * alone['accuracy']:.2f}"
    assert f"model 1: {other}" in said
    assert re.search(rf"accuracy, % +{accuracy} +{accuracy} +{accuracy}\n", said)

    again = said_of("evaluate", f"--model={output}")  # what was kept is a model like any other
    assert re.search(rf"accuracy, % +{accuracy} ", again)

    endings = exit_messages(
        "export",
        [f"--model={path},{other}"],
        [f"--model={path},{other}", f"--output_dir={output}/s", "--check_images=0"],
    )
    assert endings == ["export.py: several models need an --output_dir", None]
    assert (output / "s/saved_model.pb").is_file()
