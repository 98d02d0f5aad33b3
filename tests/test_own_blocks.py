"""Mixing blocks that a user registers at run time."""

import functools
import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import tiny_model, tiny_network

import mixmo_tf
from mixmo_tf import experiments, masks, seeds


@pytest.fixture(autouse=True)
def blocks(monkeypatch):
    """Of the test alone."""
    monkeypatch.setattr(masks, "BLOCKS", dict(masks.BLOCKS))
    monkeypatch.setattr(masks, "NAMES", masks.NAMES)


def checker(ratio, size, seed):
    """A chessboard, whose first field is black or white."""
    rows, columns = tf.meshgrid(tf.range(size[0]), tf.range(size[1]), indexing="ij")
    first = seeds.integers([tf.shape(ratio)[0], 1, 1], seed, 2)
    return tf.cast((rows + columns + first) % 2, tf.float32)  # (B, h, w)


def assert_chessboards(drawn):
    holder = np.isin(drawn, [0, 1]).all(axis=(1, 2, 3))
    assert holder.all() and (drawn[:, 1:] != drawn[:, :-1]).all()
    assert (drawn[:, :, 1:] != drawn[:, :, :-1]).all()


def test_a_registered_block_is_one_like_the_others():
    before = masks.NAMES
    assert masks.register("checker", checker) is checker
    assert masks.NAMES == tuple(masks.BLOCKS) == (*before, "checker")
    assert masks.BLOCKS["checker"].draw is checker
    drawn = masks.draw("checker", tf.fill([20, 2], 0.5), (4, 6), [0, 1]).numpy()
    assert_chessboards(drawn)
    assert len(np.unique(drawn[:, 0, 0, 0])) == 2  # of either colour, as the seed says
    assert experiments.Settings(mixing="checker").mixing == "checker"
    assert experiments.MaskSettings(mixing=["checker"]).mixing == ("checker",)
    again = masks.register("checker", lambda *drawn: 1 - checker(*drawn))  # as in a notebook
    assert masks.BLOCKS["checker"].draw is again and masks.NAMES == (*before, "checker")


def test_a_function_is_registered_under_its_own_name():
    network = tiny_network()
    model = mixmo_tf.MixMo(network, mixing=checker)
    assert model.mixing == "checker" and masks.BLOCKS["checker"].draw is checker
    assert mixmo_tf.MixMo(network, mixing=checker).mixing == "checker"
    assert mixmo_tf.MixMo(network, mixing=masks.boxes.cutmix).mixing == "cutmix"
    seed = seeds.step_seed(0, 0, 0)
    assert_chessboards(tf.function(lambda: model.draw(6, seed, 1.0).masks)().numpy())
    with pytest.raises(ValueError, match="mixing must be None for a network with M = 1"):
        mixmo_tf.MixMo(tiny_network(num_members=1), mixing=checker)


def test_a_function_does_not_take_the_name_of_another_one():
    def elsewhere(ratio, size, seed):
        return 1 - checker(ratio, size, seed)

    elsewhere.__name__ = "checker"
    mixmo_tf.MixMo(tiny_network(), mixing=checker)
    with pytest.raises(ValueError, match="^mixing block 'checker' is another function already"):
        mixmo_tf.MixMo(tiny_network(), mixing=elsewhere)
    assert masks.BLOCKS["checker"].draw is checker
    elsewhere.__module__, elsewhere.__qualname__ = checker.__module__, "checker"  # defined anew
    mixmo_tf.MixMo(tiny_network(), mixing=elsewhere)
    assert masks.BLOCKS["checker"].draw is elsewhere


def test_a_saved_model_names_the_block_that_is_missing(tmp_path, pixels_and_labels):
    images, _ = pixels_and_labels
    file = tmp_path / "x.keras"
    model = tiny_model(mixing=checker)
    model.save(file)
    with zipfile.ZipFile(file) as content:
        assert json.loads(content.read("config.json"))["config"]["mixing"] == "checker"
    for load in (mixmo_tf.load, keras.saving.load_model):
        loaded = load(file)
        assert loaded.mixing == "checker"
        np.testing.assert_array_equal(loaded.member_logits(images), model.member_logits(images))
    del masks.BLOCKS["checker"]
    message = (
        "its mixing block 'checker' is not registered here: call "
        r"mixmo_tf.masks.register\('checker', function\), then load it again"
    )
    with pytest.raises(ValueError, match=message):
        keras.saving.load_model(file)
    with pytest.raises(ValueError, match=f"^{file} cannot be loaded: {message}"):
        mixmo_tf.load(file)


@pytest.mark.parametrize(
    "function, message",
    [
        (3, "function must be a mixing block, got 3"),
        (lambda ratio, size: 0, r"'own' failed: .* takes 2 positional arguments but 3 were given"),
        (
            lambda ratio, size, seed: tf.zeros([3, *size[::-1]]),
            r"'own' must give a patch float32 \(3, 8, 16\) in \[0, 1\], got float32 \(3, 16, 8\)",
        ),
        (lambda ratio, size, seed: np.zeros((3, *size)), r"got float64 \(3, 8, 16\)"),
        (lambda *drawn: 2 * checker(*drawn), "got values from 0 to 2"),
        (lambda *drawn: checker(*drawn) / 0, "got values from nan to nan"),
        (
            lambda ratio, size, seed: tf.random.uniform([3, *size]),
            "'own' must draw from its seed alone, got two patches from one seed",
        ),
        (
            lambda ratio, size, seed: tf.zeros([ratio.shape[0], *size]),
            "'own' in a graph, where B is not known, failed: ",
        ),
    ],
)
def test_what_is_wrong_with_a_block_is_said_in_a_line(function, message):
    with pytest.raises(ValueError, match=message) as error:
        masks.register("own", function)
    assert "\n" not in str(error.value) and "own" not in masks.BLOCKS


def test_names_that_cannot_be():
    for name in ("cutmix", "none", "my block", ""):
        with pytest.raises(ValueError, match=f"name must be of letters.* got '{name}'"):
            masks.register(name, checker)
    with pytest.raises(ValueError, match="name must be text, got None"):
        masks.register(None, checker)
    for function in (lambda *drawn: checker(*drawn), functools.partial(checker)):
        with pytest.raises(ValueError, match="mixing must be a function with a name, or one that"):
            tiny_model(mixing=function)
