"""None, text, lists and the like at public doors: one sentence that names the argument."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import tiny_model, tiny_network

import mixmo_tf
from mixmo_tf import (
    augmentation,
    data,
    deployment,
    evaluation,
    masks,
    msda,
    networks,
    pairing,
    ratios,
    seeds,
    training,
)

BAD = {  # by name; not all of them are wrong everywhere
    "None": None,
    "text": "text",
    "list": [],
    "dict": {},
    "object": object(),
    "nan": float("nan"),
    "negative": -1,
    "fraction": 1.5,
    "array of text": np.array("a"),
    "tuple with None": (None, None, 3),
}
KAPPA = np.array([[0.3, 0.7], [0.5, 0.5]], np.float32)
SEED = [0, 1]


@functools.cache
def model():
    return tiny_model()


@functools.cache
def untrained():
    """A network that is asked for nothing but its shapes, again and again."""
    return tiny_network()


@functools.cache
def compiled():
    """A model that is compiled again and again, each time wrongly."""
    return tiny_model()


@functools.cache
def pixels():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (16, 16, 16, 3)).astype(np.uint8), random.integers(0, 4, 16)


def dataset():
    return tf.data.Dataset.from_tensor_slices(pixels()).batch(8)


def network(build):
    return lambda **arguments: build(**{"num_members": 1, "num_classes": 4, **arguments})


def fit(**arguments):
    images, labels = pixels()
    return model().fit(**{"x": images, "y": labels, "batch_size": 8, "verbose": 0, **arguments})


def on_images(method):
    """A call of the model's method on all images."""
    return lambda **arguments: getattr(model(), method)(
        **{"x": pixels()[0], "verbose": 0, **arguments}
    )


DOORS = [  # what is called, the argument, values of BAD that are right, what the message says
    (network(networks.preact_resnet18), "width", set(), "width must be"),
    (network(functools.partial(networks.wide_resnet, width=1)), "depth", set(), "depth must be"),
    (network(functools.partial(networks.preact_resnet18, 1)), "filters", set(), "filters must be"),
    (network(networks.resnet18), "num_members", set(), "num_members must be"),
    (network(networks.resnet50), "num_classes", set(), "num_classes must be"),
    (network(networks.resnet18), "image_shape", set(), "image_shape must be"),
    (
        network(functools.partial(networks.preact_resnet18, 1)),
        "image_shape",
        set(),
        "image_shape must be",
    ),
    (lambda network: networks.set_precision(network, "float32"), "network", set(), "network must"),
    (lambda precision: networks.set_precision(untrained(), precision), "precision", set(), ""),
    (networks.synchronize_batch_norm, "network", set(), "network must be a keras.Model"),
    (evaluation.encoder_norms, "network", set(), "network must be a keras.Model"),
    (lambda name: masks.draw(name, KAPPA, (4, 4), SEED), "name", set(), "mixing must be one of"),
    (lambda ratios: masks.draw("cow", ratios, (4, 4), SEED), "ratios", set(), "ratios must be"),
    (lambda size: masks.draw("cow", KAPPA, size, SEED), "size", set(), "size must be"),
    (lambda seed: masks.draw("cow", KAPPA, (4, 4), seed), "seed", set(), "seed must be"),
    (lambda batch_size: ratios.draw(batch_size, 2, 2.0, SEED), "batch_size", set(), ""),
    (lambda num_members: ratios.draw(3, num_members, 2.0, SEED), "num_members", set(), ""),
    (lambda alpha: ratios.draw(3, 2, alpha, SEED), "alpha", {"fraction"}, "alpha must be"),
    (lambda seed: ratios.draw(3, 2, 2.0, seed), "seed", set(), "seed must be"),
    (lambda ratios_: ratios.loss_weights(ratios_, 3.0), "ratios_", set(), "ratios must be"),
    (lambda root: ratios.loss_weights(KAPPA, root), "root", {"fraction"}, "weight_root must be"),
    (lambda num_images: pairing.draw(num_images, 2, 2, 0.0, SEED), "num_images", set(), ""),
    (lambda batch_repetitions: pairing.draw(3, 2, batch_repetitions, 0.0, SEED),
     "batch_repetitions", set(), "batch_repetitions must be"),
    (lambda input_repetition: pairing.draw(3, 2, 2, input_repetition, SEED),
     "input_repetition", set(), "input_repetition must be"),
    (lambda shape: augmentation.draw("crop", shape, SEED), "shape", set(), "shape must be"),
    (lambda rows: msda.draw("mixup", rows, 3, (8, 8), "crop", SEED), "rows", set(), "rows must"),
    (lambda size: msda.draw("mixup", np.zeros((4, 2), np.int32), 3, size, "crop", SEED),
     "size", set(), "image_size must be"),
    (lambda run_seed: seeds.step_seed(run_seed, 1), "run_seed", {"negative"}, "run_seed must be"),
    (lambda probability: mixmo_tf.AnnealedProbability(probability, 3), "probability", set(), ""),
    (lambda total_steps: mixmo_tf.AnnealedProbability(0.5, total_steps), "total_steps", set(), ""),
    (mixmo_tf.UnmixingFade, "total_steps", set(), ""),
    (lambda rate: training.WarmupMultiStep(rate, 3, [2], 3), "rate", {"fraction"}, "learning_rate"),
    (lambda warmup_steps: training.WarmupMultiStep(0.1, warmup_steps, [2], 3), "warmup_steps",
     set(), "warmup_steps must be"),
    (lambda milestones: training.WarmupMultiStep(0.1, 3, milestones, 3), "milestones", {"list"},
     "milestones must be"),
    (lambda total_steps: training.WarmupCosine(0.1, 3, total_steps), "total_steps", set(),
     "total_steps must be"),
    (lambda network: mixmo_tf.MixMo(network), "network", set(), "network must be a keras.Model"),
    *(
        (lambda **given: mixmo_tf.MixMo(untrained(), **given), name, right, f"{name} ")
        for name, right in {
            "mixing": {"None"}, "mixing_probability": set(), "unmixing": {"None"},
            "alpha": {"fraction"},
            "weight_root": {"fraction"}, "batch_repetitions": set(), "input_repetition": set(),
            "msda": {"None"}, "ensemble": set(), "l2": {"fraction"}, "augmentation": set(),
            "mean": {"None"}, "seed": set(), "class_names": {"None"}, "trivial_augment": set(),
            "random_erasing": set(), "label_smoothing": set(),
        }.items()
    ),
    (lambda std: mixmo_tf.MixMo(untrained(), std=std), "std", {"None"}, "std be > 0"),
    (lambda models: mixmo_tf.DeepEnsemble(models), "models", set(), "models must be"),
    (lambda ensemble: mixmo_tf.DeepEnsemble([model(), compiled()], ensemble=ensemble),
     "ensemble", {"None"}, "ensemble must be one of"),
    *(
        (lambda **given: compiled().compile(**given), name, right, name)
        for name, right in {
            "optimizer": set(), "loss": {"None"}, "metrics": {"None", "list", "dict"},
            "steps_per_execution": set(), "jit_compile": set(), "run_eagerly": set(),
        }.items()
    ),
    *(
        (fit, name, right, message)
        for name, right, message in (
            ("x", set(), "x must be an array"), ("y", set(), "labels must be"),
            ("batch_size", {"None"}, "batch_size must be"), ("epochs", set(), "epochs must be"),
            ("initial_epoch", set(), "initial_epoch must be"),
            ("steps_per_epoch", {"None"}, "steps_per_epoch must be"),
            ("callbacks", {"None", "list", "dict"}, "callbacks must be"),
            ("validation_split", {"None", "list", "dict"}, "validation_split must be"),
            ("validation_data", {"None"}, "validation_data must be"),
            ("class_weight", {"None", "dict"}, "class_weight must be"),
            ("sample_weight", {"None"}, "sample_weight must"),
        )
    ),
    (on_images("evaluate"), "y", set(), "labels must be"),
    *(
        (on_images(method), name, right, f"{name} must be")
        for method in ("evaluate", "predict")
        for name, right in {"x": set(), "batch_size": {"None"}, "callbacks":
                            {"None", "list", "dict"}}.items()
    ),
    (lambda images: model().member_logits(images), "images", set(), "images must"),
    (deployment.fold, "model", set(), "model must be a MixMo"),
    (lambda model: deployment.export(model, "/nowhere/x"), "model", set(), "model must be a MixMo"),
    (lambda path: deployment.export(model(), path), "path", {"text"}, "path must be a path"),
    (lambda formats: deployment.export(model(), "/nowhere/x", formats), "formats", set(), "format"),
    (lambda filepath: model().export(filepath), "filepath", {"text"}, "filepath must be a path"),
    (lambda format: model().export("/nowhere/x", format), "format", set(), "format must be one of"),
    (mixmo_tf.load, "path", {"text"}, "path must be a path"),
    (lambda network: deployment.load_torch_state(network, {}), "network", set(), "network must"),
    (lambda state: deployment.load_torch_state(untrained(), state), "state", {"dict"}, "state"),
    (lambda name: data.load(name, "train"), "name", set(), "dataset must be"),
    (lambda split: data.load("digits", split), "split", set(), "split must be one of"),
    (lambda image_size: data.load_arrays("digits", "train", image_size=image_size), "image_size",
     {"None"}, "image_size must be"),
    (lambda data_dir: data.load_arrays("digits", "train", data_dir), "data_dir", {"None", "text"},
     "data_dir must be a path"),
    (lambda count: data.load_arrays("digits", "train", validation_examples=count), "count", set(),
     "validation_examples must be"),
    (lambda arrays: data.training_batches(arrays, 8, 0), "arrays", set(), ""),
    (lambda batch_size: data.training_batches(pixels(), batch_size, 0), "batch_size", set(), ""),
    (lambda seed: data.training_batches(pixels(), 8, seed), "seed", set(), "seed must be"),
    (lambda arrays: data.evaluation_batches(arrays, 8), "arrays", set(), "arrays must be"),
    (lambda batch_size: data.evaluation_batches(pixels(), batch_size), "batch_size", set(), ""),
    (data.full_batches, "dataset", set(), "dataset must be a tf.data.Dataset"),
    (data.augmix, "batches", set(), "batches must be a tf.data.Dataset"),
    (lambda model: evaluation.predict(model, dataset()), "model", set(), "model must have"),
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[1])
def test_a_wrong_argument_is_named_in_one_sentence(door):
    call, name, right, message = door
    for kind in BAD.keys() - right:
        with pytest.raises(ValueError) as error:
            call(**{name: BAD[kind]})
        said = str(error.value)
        assert (message or f"{name} must be") in said, (kind, said)
        assert "\n" not in said and len(said) < 300, (kind, said)


def test_images_of_a_size_that_is_not_known():
    for build in (networks.resnet18, functools.partial(networks.wide_resnet, 10, 1)):
        with pytest.raises(ValueError, match=r"image_shape must be .* got \(None, None, 3\)"):
            build(image_shape=(None, None, 3))


def test_whose_the_loss_is():
    message = "loss must be left out: the loss is the MixMo's own; .* by keyword; got {}"
    with pytest.raises(ValueError, match=message.format("'mse'")):
        tiny_model().compile("sgd", loss="mse")
    with pytest.raises(ValueError, match=message.format(r"\['accuracy'\]")):
        tiny_model().compile("sgd", ["accuracy"])


def test_a_network_that_has_no_members():
    plain = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="network must take image_0, … by name"):
        mixmo_tf.MixMo(plain)


@pytest.mark.parametrize(
    "names",
    [["a", "b\nc", "d", "e"], ["a", "", "c", "d"], ["a", " ", "c", "d"], "abcd", [0, 1, 2, 3],
     ["a", "b", "c", "d\r"], ["a", "b", "c\u2028x", "d"], {"a": 0, "b": 1, "c": 2, "d": 3}],
)  # fmt: skip
def test_names_of_classes_are_a_line_of_text_each(names):
    with pytest.raises(ValueError, match="class_names must be"):
        tiny_model(class_names=names)


def test_a_model_that_was_saved_with_other_names_loads(tmp_path):
    """As it was possible once: numbers, and names of several lines or none."""
    for kind in (lambda model: model, deployment.fold):
        made = kind(tiny_model())
        made.class_names = (3, "b\nc", "", "d")
        made.save(tmp_path / "old.keras")
        loaded = keras.saving.load_model(tmp_path / "old.keras")
        assert loaded.class_names == ("3", "b c", "class 2", "d")
        images = pixels()[0]
        np.testing.assert_array_equal(loaded(images), made(images))


@pytest.mark.parametrize("alpha", [5e-324, 1e-300, 1e-45, 1e-38, 1e-30, 1e-3])
def test_ratios_of_the_smallest_alphas_are_one_hot(alpha):
    kappa = ratios.draw(4000, 3, alpha, SEED).numpy()
    assert np.isfinite(kappa).all()
    np.testing.assert_allclose(kappa.sum(axis=1), 1, atol=1e-5)
    assert np.mean(kappa.max(axis=1) > 0.999) > 0.97
    counts = np.bincount(kappa.argmax(axis=1), minlength=3) / 4000
    np.testing.assert_allclose(counts, 1 / 3, atol=0.03)


@pytest.mark.parametrize("alpha", [1e15, 1e30, 1e38, 1e39, 1e300])
def test_ratios_of_the_largest_alphas_are_even(alpha):
    np.testing.assert_allclose(ratios.draw(1000, 3, alpha, SEED), 1 / 3, atol=1e-5)
