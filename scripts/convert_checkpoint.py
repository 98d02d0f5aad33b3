"""Turns the published PyTorch checkpoints into Keras models, and back.

    python scripts/convert_checkpoint.py --input=mixmo.ckpt --output=mixmo.keras
    python scripts/convert_checkpoint.py --input=runs/cifar100 --output=cifar100.pt

An --output that ends in .keras is made from a PyTorch checkpoint (a file that holds a dict with
`classifier_state_dict`, or just a dict of tensors) or from a .safetensors file; the architecture is
found from the shapes of the weights. Any other --output is a PyTorch checkpoint, made from a run's
folder or a .keras file. This needs PyTorch (the extra torch). A file with anything but weights in
it is refused, and nothing in it is executed.
"""

import functools
import importlib.util
import os
import runpy


def main():
    # signals are answered before TensorFlow is imported, which takes seconds
    package = importlib.util.find_spec("mixmo_tf").submodule_search_locations[0]
    ending = runpy.run_path(os.path.join(package, "experiments", "ending.py"))
    ending["run"](load)


def load():
    """Imports what the command needs; what it gives runs the command."""
    from mixmo_tf.experiments import ConvertSettings, command_line, convert_checkpoint

    return functools.partial(
        command_line.run, convert_checkpoint, ConvertSettings, description=__doc__
    )


if __name__ == "__main__":
    main()
