"""Turns the published PyTorch checkpoints into Keras models, and back.

    python scripts/convert_checkpoint.py --input=mixmo.ckpt --output=mixmo.keras
    python scripts/convert_checkpoint.py --input=runs/cifar100 --output=cifar100.pt

An --output that ends in .keras is made of a PyTorch checkpoint, a file with a dict that has
`classifier_state_dict`, or with a bare state, or of a .safetensors file; the architecture is
read off the shapes. Any other is made of a run's folder or a .keras file. PyTorch is needed: the
extra torch. A file with anything but weights in it is refused, and nothing of it executed.
"""

import os
import sys

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import flags

from mixmo_tf.deployment import torch_checkpoint
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.outputs import new_file
from mixmo_tf.training import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "input", None, "A PyTorch checkpoint or .safetensors file; or a run's folder or a .keras file."
)
flags.DEFINE_string("output", None, "New file: .keras, or else a PyTorch checkpoint.")
flags.DEFINE_integer(
    "image_size",
    None,
    "Height and width in pixels of the images that the .keras model takes; if not set, 32 for a "
    "Wide ResNet, 64 for a PreActResNet.",
    lower_bound=1,
)
flags.DEFINE_list(
    "mean",
    None,
    "Per channel, of pixels scaled to [0, 1]; if not set, CIFAR's for a Wide ResNet, 0.5 for a "
    "PreActResNet.",
)
flags.DEFINE_list("std", None, "Per channel, of pixels scaled to [0, 1]; as --mean.")
flags.DEFINE_enum(
    "ensemble", None, ENSEMBLES, "What the .keras model averages; if not set, logits."
)
flags.mark_flags_as_required(["input", "output"])


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"convert_checkpoint.py: unknown argument {arguments[1]}; flags start with --")
    try:
        output = new_file(FLAGS.output)
        model = from_torch(output) if output.suffix == ".keras" else to_torch(output)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"convert_checkpoint.py: {error}")
    print(described(model, output))


def from_torch(output):
    """Makes the .keras file of a checkpoint; returns its model."""
    model = torch_checkpoint.load_torch_checkpoint(
        FLAGS.input,
        FLAGS.image_size,
        per_channel("mean"),
        per_channel("std"),
        FLAGS.ensemble or "logits",
    )
    checkpoints.save_model(model, output, replace=False)
    return model


def to_torch(output):
    """Makes the checkpoint of a .keras file; returns its model.

    Raises:
        ValueError: if a flag is set that says nothing here.
    """
    for name in ("image_size", "mean", "std", "ensemble"):
        if FLAGS[name].value is not None:
            raise ValueError(f"--{name} is for an --output that ends in .keras")
    model = checkpoints.load_model(FLAGS.input, compile=False)
    torch_checkpoint.save_torch_checkpoint(model, output)
    return model


def per_channel(name):
    """The three floats of a flag, or None.

    Raises:
        ValueError: if they are not three numbers.
    """
    values = FLAGS[name].value
    try:
        if values is not None and len(values) != 3:
            raise ValueError
        return values and tuple(map(float, values))
    except ValueError:
        raise ValueError(f"--{name} must be three numbers, got {','.join(values)}") from None


def described(model, output):
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
            f"mean {numbers(model.mean)}, std {numbers(model.std)} of pixels in [0, 1]."
        )
    return "\n".join(lines)


def numbers(values):
    return " ".join(f"{value:g}" for value in values)


if __name__ == "__main__":
    ending.run(main)
