"""Measures and draws how the members of a trained network split its encoder filters.

    python scripts/show_encoders.py --model=runs/digits

The picture shows, for every filter, the L1 norm of each member's kernel. Where one member's norm is
large and the others' are small, the core sees mostly that member through this filter: the
subnetworks are separate. Where the norms are equal, the members share the filter. The split score
sums this up: 0 if all filters are shared alike, 1 if each belongs to one member.
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
    from mixmo_tf.experiments import EncoderSettings, command_line, draw_encoders

    return functools.partial(command_line.run, draw_encoders, EncoderSettings, description=__doc__)


if __name__ == "__main__":
    main()
