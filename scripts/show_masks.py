"""Draws what the mixing blocks do to real images: a picture per block.

    python scripts/show_masks.py --output_dir=docs/masks

Each line of a picture is a row of a step: the members' images, their masks in the members' colours,
and the images mixed by the masks (in training, the encoded images are mixed). The numbers are the
ratios κ that were drawn, the realised ratios, and the weights of the members' losses.
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
    from mixmo_tf.experiments import MaskSettings, command_line, draw_masks

    return functools.partial(command_line.run, draw_masks, MaskSettings, description=__doc__)


if __name__ == "__main__":
    main()
