"""A setting has the bounds of the functions that compute with it, and the same words for them."""

import math

import keras
import pytest
from small_models import tiny_network

import mixmo_tf
from mixmo_tf import networks, pairing, ratios, training
from mixmo_tf.experiments import MaskSettings, Settings, fields
from mixmo_tf.models import core_update

SEED = (0, 1)
VALUES = (
    -(2**31), -1, -0.5, 0, 0.5, 1, 1.5, 2, 100, 101, 1204, 1205, 10_000, 10_001, 2**31 - 1, 2**31,
    10**30, 1e300, math.nan, math.inf, -math.inf, True, None,
)  # fmt: skip
OF_MIXMO = (
    "mixing_probability", "alpha", "weight_root", "batch_repetitions", "input_repetition", "l2",
    "seed", "random_erasing", "label_smoothing",
)  # fmt: skip
OF_SCHEDULE = "learning_rate", "warmup_steps", "milestones"


def mixmo(name):
    network = tiny_network()
    return lambda value: mixmo_tf.MixMo(network, **{name: value})


def schedule(name):
    right = {"learning_rate": 0.1, "warmup_steps": 3, "milestones": [2], "steps_per_epoch": 3}
    return lambda value: training.WarmupMultiStep(**(right | {name: value}))


def network(kind, name):
    right = {"num_members": 2, "num_classes": 10, "image_shape": (32, 32, 3)}
    sizes = dict.fromkeys(networks.NETWORKS[kind].sizes, 10)
    return lambda value: networks.NETWORKS[kind].kernels(**(right | sizes | {name: value}))


DOORS = {  # the setting, and a function of its value that raises ValueError where that is wrong
    **{f"{name} of MixMo": (name, mixmo(name)) for name in OF_MIXMO},
    **{f"{name} of a schedule": (name, schedule(name)) for name in OF_SCHEDULE},
    "num_members of a network": ("num_members", network("resnet18", "num_members")),
    "width of a network": ("width", network("wide_resnet", "width")),
    "filters of a network": ("filters", network("preact_resnet18", "filters")),
    "core_learning_rate_factor": (
        "core_learning_rate_factor",
        lambda value: core_update.checked(0, value, keras.optimizers.SGD()),
    ),
    "alpha": ("alpha", lambda value: ratios.draw(3, 2, value, SEED)),
    "weight_root": ("weight_root", lambda value: ratios.loss_weights([[0.4, 0.6]], value)),
    "p": ("mixing_probability", lambda value: mixmo_tf.AnnealedProbability(value, 3)),
    "input_repetition": ("input_repetition", lambda value: pairing.draw(3, 2, 2, value, SEED)),
}


def said_of(call, value):
    """What the call says of a wrong value; None where it is right."""
    try:
        call(value)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("door", DOORS)
def test_settings_have_the_bounds_of_the_functions(door):
    name, call = DOORS[door]
    is_list = name == "milestones"
    said = []
    for value in VALUES:
        value = [value] if is_list else value
        ours = said_of(lambda value: Settings(**{name: value}), value)
        theirs = said_of(call, value)
        if is_list:  # the function names all of them
            ours, theirs = (each is not None for each in (ours, theirs))
        assert ours == theirs, value
        said.append(ours)
    assert 0 < sum(map(bool, said)) < len(VALUES)


def test_the_depth_has_the_bound_of_the_network():
    """Below, it is wrong for one network alone, which says so when a run starts."""
    door = network("wide_resnet", "depth")
    for value in (1204, 1205, math.nan):
        ours = said_of(lambda value: Settings(depth=value), value)
        assert (ours is None) == (said_of(door, value) is None) == (value == 1204)


def test_pictures_have_the_bounds_of_runs():
    for name in ("alpha", "weight_root", "seed", "image_size", "dataset"):
        of_run, of_masks = (
            {field.name: field.metadata for field, _ in fields.of(each)}[name]
            for each in (Settings, MaskSettings)
        )
        assert all(of_run[key] == of_masks[key] for key in ("bounds", "above", "check")), name


def test_arguments_take_the_settings_words():
    """What settings call none, MixMo calls None; it takes both."""
    model = mixmo_tf.MixMo(tiny_network(num_members=1), mixing="none", msda="none", unmixing="none")
    assert model.mixing is None and model.msda is None and model.unmixing is None
    config = model.get_config()
    assert config["mixing"] is None and config["msda"] is None
    with pytest.raises(ValueError, match=r"^mixing must be one of linear, .*, got 'none'$"):
        mixmo_tf.MixMo(tiny_network(), mixing="none")
