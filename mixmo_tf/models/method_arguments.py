"""The arguments of MixMo: what each must be, on its own and beside the others."""

from typing import Any

from mixmo_tf import arguments, augmentation, masks, msda, unmixing


def check(model: Any) -> None:
    """Raises ValueError where an argument of a MixMo is out of range; the message names it."""
    if model.num_members == 1 and model.mixing is not None:
        raise ValueError(f"mixing must be None for a network with M = 1, got {model.mixing!r}")
    if model.num_members > 1:
        arguments.one_of("mixing", model.mixing, masks.NAMES)
    if not callable(model.mixing_probability):
        arguments.within("mixing_probability", model.mixing_probability, 0, 1)
    unmixing.check(model.unmixing, model.num_members)
    arguments.at_least("alpha", model.alpha, 0)
    arguments.above("weight_root", model.weight_root, 0)
    arguments.within("input_repetition", model.input_repetition, 0, 1)
    if model.msda is not None:
        arguments.one_of("msda", model.msda, msda.NAMES)
    arguments.at_least("l2", model.l2, 0)
    arguments.one_of("augmentation", model.augmentation, augmentation.NAMES)
    arguments.one_of("trivial_augment", model.trivial_augment, (False, True))
    arguments.within("random_erasing", model.random_erasing, 0, 1)
    arguments.within("label_smoothing", model.label_smoothing, 0, 1)
    if model.label_smoothing == 1:
        raise ValueError("label_smoothing must be in [0, 1), got 1")
