"""MixMo trains, evaluates and predicts as its equations say."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import FEW_DRAWS, ready_model, tiny_model

from mixmo_tf import evaluation, seeds


def largest_difference(weights, others):
    return max(np.abs(ours - theirs).max() for ours, theirs in zip(weights, others, strict=True))


def each_fitted(model, *calls):
    """The weights after each call of `fit`, by its arguments, from the model's state now on."""
    start, weights = model.state(), []
    for arguments in calls:
        model.set_state(start)
        model.fit(**{"batch_size": 8, "verbose": 0, **arguments})
        weights.append(model.get_weights())
    return weights


def test_fit_learns_and_reports_members_and_ensemble(pixels_and_labels):
    images, labels = pixels_and_labels
    model = tiny_model(augmentation="none", mixing="linear", learning_rate=0.1)
    history = model.fit(
        images, labels, batch_size=8, epochs=16, verbose=0, validation_data=(images, labels)
    ).history
    assert set(history) == {
        "loss", "member_0_accuracy", "member_1_accuracy", "binary_share",
        "val_loss", "val_accuracy", "val_member_0_accuracy", "val_member_1_accuracy",
        "val_ratio_error",
    }  # fmt: skip
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.9
    assert int(model.step.numpy()) == 16 * 5


def test_training_logs_are_means_over_the_epoch(pixels_and_labels):
    images, labels = pixels_and_labels
    model = ready_model()
    model.optimizer.learning_rate = 1e-12  # the weights stay, so that steps can be redone
    history = model.fit(images, labels, batch_size=8, verbose=0, shuffle=False).history
    model.step.assign(0)
    losses, rights, binaries = [], [], []
    for step in range(5):
        batch = slice(8 * step, 8 * step + 8)
        loss, *right, binary, _ = model.loss_and_gradients(
            tf.constant(images[batch]), tf.constant(labels[batch]), None,
            seeds.step_seed(0, step, 0), 0.5,
        )  # fmt: skip
        losses.append(loss)
        rights.append(np.stack(right, axis=1))
        binaries.append(float(binary))
    assert history["loss"][0] == pytest.approx(np.mean(losses), rel=1e-5)
    by_member = np.mean(np.concatenate(rights), axis=0)
    assert history["member_0_accuracy"][0] == pytest.approx(by_member[0])
    assert history["member_1_accuracy"][0] == pytest.approx(by_member[1])
    assert history["binary_share"][0] == pytest.approx(np.mean(binaries))
    assert set(binaries) == {0.0, 1.0}


def test_evaluate_is_the_mean_over_all_examples(pixels_and_labels):
    images, labels = pixels_and_labels
    model = ready_model()
    results = model.evaluate(images[:37], labels[:37], batch_size=8, verbose=0, return_dict=True)
    logits = model.member_logits(images[:37]).numpy()
    labels = labels[:37]
    ensemble = tf.nn.softmax(logits.mean(axis=1)).numpy()
    by_hand = {
        "loss": -np.log(ensemble[np.arange(37), labels]).mean(),
        "accuracy": np.mean(ensemble.argmax(axis=1) == labels),
        "member_0_accuracy": np.mean(logits[:, 0].argmax(axis=1) == labels),
        "member_1_accuracy": np.mean(logits[:, 1].argmax(axis=1) == labels),
        "ratio_error": evaluation.ratio_error(logits.argmax(axis=2), labels),
    }
    assert results == pytest.approx(by_hand, rel=1e-5)
    np.testing.assert_allclose(model.predict(images[:37], verbose=0), ensemble, atol=1e-6)


def test_evaluate_and_predict_take_arguments_in_the_order_of_keras(pixels_and_labels):
    images, labels = pixels_and_labels
    model = ready_model()
    ours, theirs = model.evaluate(images, labels, 8, 0), model.evaluate(images, labels, verbose=0)
    assert ours == pytest.approx(theirs, rel=1e-5)
    np.testing.assert_allclose(model.predict(images, 8, 0), model(images), atol=1e-6)
    weights = 1.0 * (labels != 2)
    hidden = model.evaluate(images, labels, 8, 0, weights)[0]
    kept = model.evaluate(images[labels != 2], labels[labels != 2], 8, 0)[0]
    assert hidden == pytest.approx(kept, rel=1e-5)


def test_ensembles_average_logits_or_probabilities(pixels_and_labels):
    images, _ = pixels_and_labels
    for ensemble in ("logits", "probabilities"):
        model = tiny_model(ensemble=ensemble)
        logits = model.member_logits(images)
        by_hand = {
            "logits": tf.nn.softmax(tf.reduce_mean(logits, axis=1)),
            "probabilities": tf.reduce_mean(tf.nn.softmax(logits), axis=1),
        }
        np.testing.assert_allclose(model(images), by_hand[ensemble], atol=1e-6)
    assert np.abs(by_hand["logits"] - by_hand["probabilities"]).max() > 1e-3


def test_weighted_loss_by_hand():
    model = tiny_model(weight_root=2.0)
    logits = np.log([[[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]]).astype(np.float32)
    masks = np.zeros((1, 2, 2, 2), np.float32)
    masks[0, 0, 0, 0] = 1  # member 0 has one pixel of four
    masks[..., 1] = 1 - masks[..., 0]
    loss = model.weighted_loss(logits, np.array([[1, 3]]), masks)
    weights = 2 * np.sqrt([0.25, 0.75]) / np.sum(np.sqrt([0.25, 0.75]))
    by_hand = weights[0] * -np.log(0.25) + weights[1] * -np.log(0.4)
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)
    halved = model.weighted_loss(logits, np.array([[1, 3]]), masks, np.array([[0.5, 0.0]]))
    assert float(halved) == pytest.approx(0.5 * weights[0] * -np.log(0.25), rel=1e-5)


def test_decay_joins_the_gradients(pixels_and_labels):
    images, labels = map(tf.constant, pixels_and_labels)
    plain, decayed = tiny_model(), tiny_model(l2=0.01)
    seed = seeds.step_seed(0, 0, 0)
    loss, *_, gradients = plain.loss_and_gradients(images, labels, None, seed, 0.5)
    same_loss, *_, with_decay = decayed.loss_and_gradients(images, labels, None, seed, 0.5)
    assert float(loss) == float(same_loss)  # `loss` is reported without the decay
    for variable, ours, theirs in zip(
        plain.trainable_variables, gradients, with_decay, strict=True
    ):
        np.testing.assert_allclose(theirs, ours + 2 * 0.01 * variable, atol=1e-5)


def test_sample_and_class_weights_of_zero_hide_images(pixels_and_labels):
    images, labels = pixels_and_labels
    other, weights = labels.copy(), 1.0 * (labels != 2)
    other[labels == 2] = 3
    hidden = {0: 1.0, 1: 1.0, 2: 0.0, 3: 1.0}
    first, *others = each_fitted(
        ready_model(**FEW_DRAWS),
        {"x": images, "y": labels, "sample_weight": weights},
        {"x": images, "y": labels, "class_weight": hidden},
        {"x": images, "y": other, "sample_weight": weights},
    )
    for each in others:
        assert largest_difference(first, each) < 1e-6


def test_the_same_seed_gives_the_same_run_bit_for_bit(pixels_and_labels):
    call = dict(zip("xy", pixels_and_labels, strict=True)) | {"epochs": 4}
    first, again = each_fitted(ready_model(), call, call)
    (other,) = each_fitted(tiny_model(seed=1), call)
    assert largest_difference(first, again) == 0
    assert largest_difference(first, other) > 0


def test_xla_gives_the_same_run(pixels_and_labels):
    """With all that a step draws by default."""
    call = dict(zip("xy", pixels_and_labels, strict=True)) | {"epochs": 4}
    models = ready_model(), tiny_model(jit_compile=True)
    (ours,), (theirs,) = (each_fitted(model, call) for model in models)
    assert [int(model.step.numpy()) for model in models] == [20, 20]
    assert largest_difference(ours, theirs) < 1e-4


def test_mimo_and_the_plain_network_train(pixels_and_labels):
    images, labels = pixels_and_labels
    for arguments in (
        {"mixing": "linear", "alpha": 0.0, "weight_root": 1.0, "input_repetition": 0.6},
        {"num_members": 1, "batch_repetitions": 1},
        {"num_members": 3, "alpha": 0.0},
    ):
        model = tiny_model(learning_rate=0.1, **arguments)
        history = model.fit(images, labels, batch_size=8, epochs=4, verbose=0).history
        assert history["loss"][-1] < history["loss"][0]
        assert ("binary_share" in history) == (model.num_members > 1)


def test_labels_and_weights_may_be_columns(pixels_and_labels):
    """As Keras' datasets have labels, in uint8; eagerly, as each kind would be traced anew."""
    images, labels = pixels_and_labels
    weights, column = np.linspace(0, 2, 40), labels[:, None].astype(np.uint8)
    model = tiny_model(**FEW_DRAWS)
    model.compile("sgd", metrics=["accuracy"], run_eagerly=True)
    first, *others = each_fitted(
        model,
        {"x": images, "y": labels, "sample_weight": weights},
        {"x": images, "y": labels, "sample_weight": weights[:, None]},
        {"x": images, "y": column, "sample_weight": weights},
    )
    assert [largest_difference(first, each) for each in others] == [0, 0]
    evaluated = [model.evaluate(images, y, verbose=0) for y in (labels, column, labels[:, None])]
    assert evaluated[0] == evaluated[1] == evaluated[2]


def test_datasets_of_one_model_may_have_labels_of_both_shapes(pixels_and_labels):
    """TensorFlow traces one graph for those that come later; it looks at the shape itself."""
    images, labels = pixels_and_labels
    one_hot = np.eye(4, dtype=np.int64)[labels]
    flat, columns, wrong = (
        tf.data.Dataset.from_tensor_slices((images, each)).batch(8)
        for each in (labels, labels[:, None], one_hot)
    )
    model = tiny_model(**FEW_DRAWS)
    first, *others = each_fitted(
        model, *({"x": each, "batch_size": None} for each in (flat, columns, flat))
    )
    assert all(largest_difference(first, other) < 1e-6 for other in others)
    for call in (model.fit, model.evaluate):
        call(flat, verbose=0)
        call(columns, verbose=0)
        with pytest.raises(ValueError, match=r"^labels must be integers of shape \(n,\), got"):
            call(wrong, verbose=0)


def test_a_confident_error_has_its_full_loss(pixels_and_labels):
    images, labels = pixels_and_labels
    for ensemble in ("logits", "probabilities"):
        model = ready_model() if ensemble == "logits" else tiny_model(ensemble=ensemble)
        for member in range(2):
            model.network.get_layer(f"head_{member}").bias.assign([0.0, 50.0, 0.0, 0.0])
        loss = model.evaluate(images[labels == 0], labels[labels == 0], verbose=0)[0]
        assert loss == pytest.approx(50, abs=5)


def test_fit_takes_a_dataset_and_drops_its_incomplete_batch(pixels_and_labels):
    model = ready_model(**FEW_DRAWS)
    dataset = tf.data.Dataset.from_tensor_slices(pixels_and_labels).batch(16)  # 16, 16, 8
    for steps in (4, 8):
        model.fit(dataset, epochs=2, verbose=0, validation_data=dataset)
        assert int(model.step.numpy()) == int(model.optimizer.iterations.numpy()) == steps
    again = tiny_model(**FEW_DRAWS)
    again.set_state(model.state())
    again.compile("sgd")
    assert (int(model.step.numpy()), int(again.step.numpy())) == (8, 0)


def test_fit_holds_out_the_last_images_for_validation(pixels_and_labels):
    images, labels = pixels_and_labels
    model = ready_model()
    model.optimizer.learning_rate = 1e-12
    history = model.fit(images, labels, batch_size=8, verbose=0, validation_split=0.25).history
    held_out = model.evaluate(images[30:], labels[30:], verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(held_out["loss"], rel=1e-4)
    assert int(model.step.numpy()) == 3


def test_standard_callbacks_work(tmp_path, pixels_and_labels):
    model = ready_model()
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            tmp_path / "best.keras", "val_accuracy", save_best_only=True
        ),
        keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True),
        keras.callbacks.CSVLogger(tmp_path / "history.csv"),
        keras.callbacks.ReduceLROnPlateau("val_loss"),
        keras.callbacks.TerminateOnNaN(),
    ]
    model.fit(
        *pixels_and_labels, batch_size=8, epochs=2, verbose=0,
        validation_data=pixels_and_labels, callbacks=callbacks,
    )  # fmt: skip
    assert keras.saving.load_model(tmp_path / "best.keras").built
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 3
