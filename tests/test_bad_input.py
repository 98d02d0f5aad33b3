"""What a MixMo says about arguments, images and labels that cannot be right."""

import numpy as np
import pytest
import tensorflow as tf
from small_models import ONE_MEMBER, assert_same, tiny_model, tiny_network

import mixmo_tf

BAD_ARGUMENTS = [
    (
        {"mixing": "cutmax"},
        "mixing must be one of linear, cutmix, patchup, cow, fmix, .*, got 'cutmax'",
    ),
    ({"mixing_probability": 1.5}, r"mixing_probability must be in \[0, 1\], got 1.5"),
    ({"alpha": -1}, "alpha must be >= 0, got -1"),
    ({"alpha": float("nan")}, "alpha must be >= 0, got nan"),
    ({"weight_root": 0}, "weight_root must be > 0, got 0"),
    ({"batch_repetitions": 2.5}, "batch_repetitions must be a whole number, got 2.5"),
    ({"alpha": float("inf")}, "alpha must be >= 0, got inf"),
    ({"batch_repetitions": 0}, "batch_repetitions must be >= 1, got 0"),
    ({"input_repetition": -0.1}, r"input_repetition must be in \[0, 1\], got -0.1"),
    ({"ensemble": "votes"}, "ensemble must be one of logits, probabilities, got 'votes'"),
    ({"l2": -1e-4}, "l2 must be >= 0, got -0.0001"),
    (
        {"augmentation": "flop"},
        "augmentation must be one of none, flip, crop, crop_flip, got 'flop'",
    ),
    ({"mean": (0.5,)}, "mean and std must have 3 values"),
    ({"std": (0.5, 0.5, 0.0)}, "std be > 0"),
    ({"seed": -1}, "seed must be >= 0, got -1"),
    ({"num_members": 1, "mixing": "cutmix"}, "mixing must be None for a network with M = 1"),
]


@pytest.mark.parametrize("arguments, message", BAD_ARGUMENTS)
def test_bad_arguments_are_named(arguments, message):
    num_members = arguments.pop("num_members", 2)
    with pytest.raises(ValueError, match=message):
        mixmo_tf.MixMo(tiny_network(num_members), **arguments)


def test_bad_data_is_named(pixels_and_labels):
    images, labels = pixels_and_labels
    model = tiny_model(**ONE_MEMBER)
    with pytest.raises(ValueError, match=r"images must have the shape \(n, 16, 16, 3\)"):
        model.fit(images[:, :8], labels, batch_size=8, verbose=0)
    with pytest.raises(ValueError, match=r"images must have the shape \(n, 16, 16, 3\)"):
        model.predict(images[..., :1], verbose=0)
    with pytest.raises(ValueError, match=r"labels must be in 0 to 3, got 4"):
        model.fit(images, labels + 1, batch_size=8, verbose=0)
    with pytest.raises(ValueError, match=r"labels must be in 0 to 3, got -1"):
        model.evaluate(images, labels - 1, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels + 1)).batch(8)
    with pytest.raises(ValueError, match=r"^labels must be in 0 to 3, got [^\n]*$"):
        model.fit(dataset, verbose=0)
    for beyond in (
        labels + 2**32,
        labels.astype(np.uint64) + 2**63,
    ):  # int32 would make labels of it
        dataset = tf.data.Dataset.from_tensor_slices((images, beyond)).batch(8)
        for call in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match="^labels must be in 0 to 3, got [^\\n]*$"):
                call(dataset, verbose=0)
    with pytest.raises(ValueError, match="labels must be integers"):
        model.fit(images, labels.astype(np.float32), batch_size=8, verbose=0)
    for batch_size in (0, 64):
        with pytest.raises(ValueError, match=r"batch_size must be in \[1, 40\]"):
            model.fit(images, labels, batch_size=batch_size, verbose=0)
    with pytest.raises(ValueError, match=r"validation_split must be in \(0, 1\), got 1.0"):
        model.fit(images, labels, batch_size=8, validation_split=1.0, verbose=0)


def test_a_whole_number_may_be_a_float(pixels_and_labels):
    """4.0 is one, and does what 4 does."""
    images, labels = pixels_and_labels
    results = []
    for kind in (int, float):
        model = tiny_model(**{**ONE_MEMBER, "batch_repetitions": kind(2)}, seed=kind(3))
        model.compile("sgd", steps_per_execution=kind(2))
        options = {"batch_size": kind(8), "epochs": kind(2), "initial_epoch": kind(0)}
        model.fit(images, labels, **options, steps_per_epoch=kind(3), verbose=0)
        evaluated = model.evaluate(images, labels, batch_size=kind(16), steps=kind(2), verbose=0)
        answers = model.predict(images, batch_size=kind(16), steps=kind(2), verbose=0)
        results.append([*model.state(), np.array(evaluated), answers])
    assert_same(*results)
