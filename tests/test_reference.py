"""Networks, loss, gradients and statistics against the published PyTorch implementation."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import MixMo, ratios
from mixmo_tf.deployment.torch_state import to_keras_layout, variables_by_torch_name
from mixmo_tf.networks import preact_resnet18, wide_resnet

CASES = {
    "wide_resnet_10_1_m2": lambda: wide_resnet(10, 1, num_members=2, num_classes=10),
    "wide_resnet_16_1_m3": lambda: wide_resnet(16, 1, num_members=3, num_classes=7),
    "preact_resnet18_8_m2": lambda: preact_resnet18(1, num_members=2, num_classes=12, filters=8),
}


@functools.cache
def built(case):
    """Its network, one for all tests: each gives it all of the weights."""
    return CASES[case]()


def entries(case, folder):
    """The arrays below `folder`, in Keras' layout, by their PyTorch names."""
    names = [n for n in case.files if n.startswith(folder) and "num_batches" not in n]
    return {n.removeprefix(folder): to_keras_layout(case[n]) for n in names}


def assert_close(ours, theirs, what, tolerance=1e-4):
    error = np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))
    print(f"{what}: largest error {error:.1e} of the largest value")
    assert error < tolerance, what


@pytest.fixture(params=CASES)
def case_and_model(request, reference):
    case = reference(request.param)
    network = built(request.param)
    state, variables = entries(case, "state/"), variables_by_torch_name(network)
    assert len(state) == len(network.variables)
    for name, array in state.items():
        variables[name].assign(array)
    return case, MixMo(network, weight_root=float(case["weight_root"]), l2=1.0)


def test_inference(case_and_model):
    case, model = case_and_model
    images = (case["pixels"][:, 0] * 0.5 + 0.5) * 255  # MixMo normalises with 0.5, 0.5
    logits = model.member_logits(images)
    assert_close(logits, case["inference/logits"], "inference logits")
    ensemble = tf.nn.softmax(case["inference/ensemble_logits"])
    np.testing.assert_allclose(model(images), ensemble, atol=1e-5)


@pytest.mark.parametrize(
    "case_and_model, jit_compile",
    [*((case, False) for case in CASES), ("wide_resnet_10_1_m2", True)],
    indirect=["case_and_model"],
)
def test_training(case_and_model, jit_compile):
    case, model = case_and_model
    network = model.network

    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(members, masks, labels):
        with tf.GradientTape() as tape:
            logits = model.forward(tf.unstack(members, axis=1), masks, training=True)
            loss = model.weighted_loss(logits, labels, masks)
        return logits, loss, tape.gradient(loss, network.trainable_variables)

    logits, loss, gradients = step(case["pixels"], case["masks"], case["labels"])
    realised = tf.reduce_mean(case["masks"], axis=[1, 2])
    assert_close(realised, case["kappas"], "realised ratios", 1e-5)
    assert_close(ratios.loss_weights(realised, 3.0), case["weights"], "loss weights", 1e-5)
    assert_close(logits, case["training/logits"], "training logits")
    assert_close(loss, case["training/loss"], "weighted loss")

    theirs = entries(case, "grad/")
    assert len(theirs) == len(gradients)
    by_variable = {id(v): g for v, g in zip(network.trainable_variables, gradients, strict=True)}
    errors, variables = {}, variables_by_torch_name(network)
    for name, gradient in theirs.items():
        ours = by_variable[id(variables[name])]
        errors[name] = np.max(np.abs(ours - gradient)) / np.max(np.abs(gradient))
    print(f"gradients: largest error {max(errors.values()):.1e} of each one's largest value")
    assert max(errors.values()) < 1e-4, errors


def test_batch_norm_statistics(case_and_model, monkeypatch):
    case, model = case_and_model
    before, after = entries(case, "state/"), entries(case, "after/")
    layers, variables = {}, variables_by_torch_name(model.network)

    def record(layer):  # the number of values that each variance is taken over
        call = layer.call

        def counted(x, **kwargs):
            layers[id(layer.moving_variance)] = np.prod(x.shape[:3])
            return call(x, **kwargs)

        monkeypatch.setattr(layer, "call", counted)

    for layer in model.network.layers:
        if hasattr(layer, "moving_variance"):
            record(layer)
    model.forward(tf.unstack(case["pixels"], axis=1), tf.constant(case["masks"]), training=True)
    assert len(after) == 2 * len(layers)
    for name, theirs in after.items():
        variable = variables[name]
        if name.endswith("running_var"):  # PyTorch keeps the unbiased one, n / (n - 1) of ours
            n = layers[id(variable)]
            old = before[name]
            theirs = 0.9 * old + (theirs - 0.9 * old) * (n - 1) / n
        assert_close(variable, theirs, name)


def test_sum_of_squares(case_and_model):
    case, model = case_and_model
    assert_close(model._decay(), case["training/sum_of_squares"], "sum of squares", 1e-6)
