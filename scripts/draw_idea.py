"""Draws docs/idea.png, the README's picture of the method, from real digits and real masks.

python scripts/draw_idea.py --output=docs/idea.png
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
    from mixmo_tf.experiments import IdeaSettings, command_line, draw_idea

    return functools.partial(command_line.run, draw_idea, IdeaSettings, description=__doc__)


if __name__ == "__main__":
    main()
