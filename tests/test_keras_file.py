"""A model's .keras file holds all that it needs to go on."""

import keras
import numpy as np
import pytest
from small_models import FEW_DRAWS, assert_same, tiny_model

import mixmo_tf


def test_an_epoch_goes_on_from_saved_sums(tmp_path, pixels_and_labels):
    images, labels = pixels_and_labels
    model = tiny_model(**FEW_DRAWS)
    start = model.state()
    history = model.fit(images, labels, batch_size=8, shuffle=False, verbose=0).history
    whole = model.get_weights()
    model.set_state(start)
    model.fit(images[:24], labels[:24], batch_size=8, shuffle=False, verbose=0)
    model.save(tmp_path / "first.keras")
    rest = keras.saving.load_model(tmp_path / "first.keras")
    sums = rest.epoch_sums()
    restore = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: rest.continue_epoch(sums))
    again = rest.fit(
        images[24:], labels[24:], batch_size=8, shuffle=False, verbose=0, callbacks=[restore]
    ).history
    assert again == history
    assert_same(whole, rest.get_weights())


def test_class_names_stay_with_the_model(tmp_path):
    names = ("ant", "  bee", "a  cat", "dog ")  # each a line, whatever spaces are in it
    model = tiny_model(class_names=names)
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.class_names == names
    with pytest.raises(ValueError, match="class_names must be the 4 of the network, got 1"):
        tiny_model(class_names=["ant"])


def test_save_and_load_give_the_same_model(tmp_path, pixels_and_labels):
    images, labels = pixels_and_labels
    model = tiny_model(
        mixing_probability=mixmo_tf.AnnealedProbability(0.5, 30),
        alpha=0.0,
        augmentation="none",
        mean=(0.1, 0.2, 0.3),
        ensemble="probabilities",
        l2=1e-4,
        seed=7,
    )
    model.fit(images, labels, batch_size=8, verbose=0)
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert loaded.get_config()["mean"] == (0.1, 0.2, 0.3)
    assert int(loaded.step.numpy()) == 5
    for each in (model, loaded):  # the optimizer's state and the step are saved too
        each.fit(images, labels, batch_size=8, verbose=0)
    assert_same(model.get_weights(), loaded.get_weights())
    assert loaded.evaluate(images, labels, batch_size=40, verbose=0, return_dict=True).keys() == {
        "loss", "accuracy", "member_0_accuracy", "member_1_accuracy", "ratio_error",
    }  # fmt: skip


@pytest.mark.parametrize("num_members, channels", [(1, 1), (2, 1), (1, 3), (2, 5)])
def test_a_network_alone_makes_a_model(num_members, channels, tmp_path):
    """Of any number of channels, with members or without."""
    network = mixmo_tf.networks.wide_resnet(10, 1, num_members, 4, (8, 8, channels))
    model = mixmo_tf.MixMo(network)
    assert model.mixing == ("cutmix" if num_members > 1 else None)
    assert model.mean == model.std == (0.5,) * channels
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, channels)).astype(np.uint8)
    np.testing.assert_array_equal(loaded(images), model(images))
    assert (loaded.mixing, loaded.mean) == (model.mixing, model.mean)
