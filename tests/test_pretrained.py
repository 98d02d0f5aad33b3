"""Weights that a backbone begins with, from a file, and a run that is trained from them."""

import keras
import numpy as np
import pytest
from small_models import assert_same, tiny_model

from mixmo_tf import data, experiments
from mixmo_tf.experiments import Settings, network_plan, pretrained, recipe
from mixmo_tf.networks import applications, from_backbone, parts

layers = keras.layers
SETTINGS = {"network": "backbone:TinyNet", "mixing_probability": 1.0, "batch_repetitions": 1}


def TinyNet(include_top, weights, input_shape):
    """As the models of keras.applications are: the name says who made them."""
    image = keras.Input(input_shape)
    x = layers.Conv2D(4, 3, 2, name="conv")(image)
    x = layers.Dropout(0.2)(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.Conv2D(6, 3, 2, name="last")(x)
    if include_top:
        x = layers.Dense(9)(layers.GlobalAveragePooling2D()(x))
    if weights == "imagenet":
        raise Exception("URL fetch failure on https://host/a/tiny_no_top.h5: None -- refused")
    return keras.Model(image, x, name="tinynet")


def preprocess_input(pixels):
    """Blue first, as Caffe had it."""
    return pixels[..., ::-1] - np.array([10, 20, 30], np.float32)


@pytest.fixture(autouse=True)
def tiny_net(monkeypatch, tmp_path):
    """TinyNet; and a folder without runs/, in which a run of README's first command may lie."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keras.applications, "TinyNet", TinyNet, raising=False)


@pytest.fixture
def whole():
    """A model with its top, trained in a way."""
    model = TinyNet(True, None, (32, 32, 3))
    random = np.random.default_rng(0)
    model.set_weights([random.random(w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def begun(file, image_shape=(32, 32, 3)):
    return pretrained.backbone(Settings(**SETTINGS, pretrained=str(file)), image_shape)


def test_weights_come_from_each_kind_of_file(tmp_path, whole):
    without_top = TinyNet(False, None, (32, 32, 3))
    without_top.set_weights(whole.get_weights()[: len(without_top.weights)])
    without_top.save_weights(tmp_path / "a.weights.h5")
    without_top.save(tmp_path / "b.keras")
    whole.save(tmp_path / "c.keras")
    expected = without_top.get_weights()
    expected[0] = expected[0][:, :, ::-1]  # MixMo gives red first
    whole.save_weights(tmp_path / "d.weights.h5")
    for name in ("a.weights.h5", "b.keras", "c.keras", "d.weights.h5"):
        assert_same(begun(tmp_path / name).get_weights(), expected)
        assert_same(begun(tmp_path / name, (32, 32, 1)).get_weights(), expected)
    assert begun("none", (32, 32, 1)).input_shape == (None, 32, 32, 1)


def test_a_network_normalises_by_what_was_read(tmp_path, monkeypatch):
    """As EfficientNet: with ImageNet's numbers Keras divides by √std once more; not by others."""

    def EfficientNetB0(include_top, weights, input_shape):
        image = keras.Input(input_shape)
        x = layers.Normalization(name="normal")(layers.Rescaling(1 / 255)(image))
        return keras.Model(image, layers.Conv2D(1, 1, name="conv")(x), name="small")

    EfficientNetB0.__module__ = keras.applications.EfficientNetB0.__module__
    monkeypatch.setattr(keras.applications, "EfficientNetB0", EfficientNetB0)
    settings = {"network": "backbone:EfficientNetB0", "output_dir": str(tmp_path)}
    pixels = np.full((1, 2, 2, 3), [51, 102, 204], np.float32)
    std = np.array([0.229, 0.224, 0.225])
    for mean, variance, expected in (
        ([0.485, 0.456, 0.406], std, (pixels / 255 - [0.485, 0.456, 0.406]) / std),
        ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25], pixels / 127.5 - 1),
    ):
        model = EfficientNetB0(False, None, (2, 2, 3))
        model.get_layer("normal").set_weights([np.array(mean), np.array(variance), np.array(0)])
        model.save_weights(tmp_path / "a.weights.h5")
        model.save(tmp_path / "b.keras")
        for name in ("a.weights.h5", "b.keras"):
            wanted = Settings(**settings, pretrained=str(tmp_path / name))
            network = from_backbone(pretrained.backbone(wanted, (2, 2, 3)), 2, 4)
            normalised = network.get_layer("encoder_1_normal")(pixels / 255)
            np.testing.assert_allclose(normalised, expected, rtol=1e-5)


def test_what_is_no_file_of_the_model_is_refused(tmp_path, whole):
    other = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    other.save(tmp_path / "other.keras")
    other.save_weights(tmp_path / "other.weights.h5")
    tiny_model().save(tmp_path / "run.keras")
    around = keras.Sequential([TinyNet(False, None, (32, 32, 3)), layers.Dense(2)])
    around.save_weights(tmp_path / "around.weights.h5")
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    (tmp_path / "weights.pt").touch()
    for name, message in (
        ("other.weights.h5", "other.weights.h5 has no weights of a TinyNet"),
        ("around.weights.h5", "; if a model is built around it, save that whole, as"),
        ("other.keras", r"conv/kernel has the shape \(3, 3, 3, 4\), there \(3, 2\)"),
        ("run.keras", "it holds a trained run, which --initialize_from takes"),
        ("broken.keras", "broken.keras has no weights of a TinyNet"),
        ("weights.pt", "--pretrained must be imagenet, none, or a file .weights.h5, .h5 or .keras"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            begun(tmp_path / name)
        assert "\n" not in str(raised.value)
    with pytest.raises(FileNotFoundError, match="there are no weights at .*nowhere.h5, which"):
        begun(tmp_path / "nowhere.h5")


def test_what_cannot_be_downloaded_is_named():
    with pytest.raises(ValueError, match="imagenet needs tiny_no_top.h5, which cannot be downloa"):
        begun("imagenet")


def test_pixels_are_as_the_weights_know_them(tmp_path, whole):
    network = network_plan.plan(Settings(**SETTINGS), 2, 4, (32, 32, 3)).build()
    mean, std = pretrained.mean_and_std(Settings(**SETTINGS), network, (0.1,), (0.2,))
    assert (mean, std) == ((0.1,), (0.2,))  # new weights get the images' own
    settings = Settings(**SETTINGS, pretrained="imagenet")
    mean, std = pretrained.mean_and_std(settings, network, (0.1,), (0.2,))
    assert [255 * each for each in mean] == pytest.approx([30, 20, 10])
    assert std == pytest.approx((1 / 255,) * 3)
    grey = network_plan.plan(Settings(**SETTINGS), 2, 4, (32, 32, 1)).build()
    mean, std = pretrained.mean_and_std(settings, grey, (0.1,), (0.2,))
    assert [255 * each for each in mean] == pytest.approx([20]) and len(std) == 1


def test_it_is_for_backbones_alone():
    with pytest.raises(ValueError, match="pretrained=imagenet is for network=backbone:NAME, got"):
        Settings(pretrained="imagenet")
    with pytest.raises(ValueError, match="pretrained and initialize_from both give weights"):
        Settings(**SETTINGS, pretrained="a.h5", initialize_from="b")
    assert Settings(**SETTINGS, pretrained="a.h5").in_place().pretrained.startswith("/")
    assert Settings(**SETTINGS, pretrained="imagenet").in_place().pretrained == "imagenet"
    assert Settings().of_run()["--pretrained"] == "none"


def test_a_run_of_a_backbone_goes_on_as_if_undisturbed(tmp_path, whole):
    whole.save(tmp_path / "whole.keras")
    common = {"pretrained": str(tmp_path / "whole.keras"), "output_dir": str(tmp_path / "run")}
    simple = {"batch_size": 128, "epochs": 2, "warmup_steps": 0, "augmentation": "none", "alpha": 0}
    settings = Settings(**SETTINGS, **common, **simple)
    run = experiments.train(settings)
    encoders = parts.encoders(run.model.network)
    assert len(encoders) == 2 and parts.takes_seed(run.model.network)
    (*_, newest) = sorted((run.path / "checkpoints").iterdir())
    for file in (newest, run.path / "model.keras", run.path / "metrics.json"):
        file.unlink()
    (tmp_path / "whole.keras").unlink()  # all weights are in the checkpoint that is left
    again = experiments.train(settings)
    assert_same(again.model.get_weights(), run.model.get_weights())
    assert again.metrics == run.metrics


def test_what_cannot_fit_into_memory_is_refused():
    settings = Settings(**SETTINGS, batch_size=1_000_000_000)
    info = data.Info("digits", 10, (32, 32, 3), tuple("0123456789"))
    with pytest.raises(
        ValueError, match="training backbone:TinyNet on images of 32×32 with num_me"
    ):
        recipe.build_model(settings, info)
    kernels = network_plan.plan(settings, 2, 4, (32, 32, 3)).kernels
    assert [kernel.weights for kernel in kernels] == [4 * 28, 6 * 37]
    assert [kernel.outputs * kernel.pixels for kernel in kernels] == [15 * 15 * 4, 7 * 7 * 6]
    assert applications.is_backbone(settings.network)
