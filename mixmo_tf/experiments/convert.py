"""The published PyTorch checkpoints as Keras models, and back."""

import dataclasses
import logging

import keras

from mixmo_tf import arguments
from mixmo_tf.deployment import torch_checkpoint
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.experiments.fields import REQUIRED, setting
from mixmo_tf.experiments.of_flags import OfFlags, check_is
from mixmo_tf.outputs import new_file
from mixmo_tf.training import checkpoints

_log = logging.getLogger(__name__)
_OF_KERAS = "image_size", "mean", "std", "ensemble"  # say nothing of a PyTorch checkpoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertSettings(OfFlags):
    """What is converted; the flags of convert_checkpoint.py."""

    input: str = setting(
        REQUIRED,
        "A PyTorch checkpoint or .safetensors file to convert to a .keras file; or a run's folder "
        "or a .keras file to convert to a PyTorch checkpoint.",
    )
    output: str = setting(
        REQUIRED, "New file to write: a .keras file, or else a PyTorch checkpoint."
    )
    image_size: int | None = setting(
        None,
        "Height and width in pixels of the images that the .keras model takes; if not set, 32 for "
        "a Wide ResNet, 64 for a PreActResNet.",
        bounds=(1, arguments.LARGEST_SIDE),
    )
    mean: tuple[float, ...] | None = setting(
        None,
        "Mean of each channel, for pixels scaled to [0, 1]; if not set, CIFAR's for a Wide "
        "ResNet, 0.5 for a PreActResNet.",
        unit="three numbers",
    )
    std: tuple[float, ...] | None = setting(
        None,
        "Standard deviation of each channel, for pixels scaled to [0, 1]; if not set, as for "
        "--mean.",
        above=0,
        unit="three numbers",
    )
    ensemble: str | None = setting(
        None, "What the .keras model averages; if not set, logits.", choices=ENSEMBLES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) != 3:
                got = ",".join(f"{value:g}" for value in values)
                raise ValueError(f"{name} must be three numbers, got {got}")


def convert_checkpoint(settings: ConvertSettings) -> keras.Model:
    """Makes a .keras file of a checkpoint, or a checkpoint of a .keras file.

    Returns:
        The model, a MixMo or FoldedModel.

    Raises:
        ImportError: unless the extra `torch` is installed.
        ValueError, OSError: if the input cannot be read, or the output not be written; if a
            setting is given that says nothing of it.
    """
    check_is(settings, ConvertSettings)
    output = new_file(settings.output)
    model = (_from_torch if output.suffix == ".keras" else _to_torch)(settings, output)
    _log.info("%s", _described(model, output))
    return model


def _from_torch(settings, output):
    model = torch_checkpoint.load_torch_checkpoint(
        settings.input,
        settings.image_size,
        settings.mean,
        settings.std,
        settings.ensemble or "logits",
    )
    checkpoints.save_model(model, output, replace=False)
    return model


def _to_torch(settings, output):
    for name in _OF_KERAS:
        if getattr(settings, name) is not None:
            raise ValueError(f"--{name} is for an --output that ends in .keras")
    model = checkpoints.load_model(settings.input, compile=False)
    torch_checkpoint.save_torch_checkpoint(model, output)
    return model


def _described(model, output):
    """What was written, in a line or two."""
    network = model.networks[0]
    height, width, channels = model.image_shape
    parameters = sum(weight.shape.num_elements() for weight in network.trainable_weights)
    members = "1 member" if model.num_members == 1 else f"{model.num_members} members"
    lines = [
        f"Wrote {output}: {network.name}, {members}, {model.num_classes} classes, "
        f"{parameters:,} parameters."
    ]
    if output.suffix == ".keras":
        lines.append(
            f"It takes pixels 0–255, {height}×{width}×{channels}; "
            f"mean {_numbers(model.mean)}, std {_numbers(model.std)} of pixels in [0, 1]."
        )
    return "\n".join(lines)


def _numbers(values):
    return " ".join(f"{value:g}" for value in values)
