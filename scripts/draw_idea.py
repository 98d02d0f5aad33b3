"""Draws docs/idea.png, the README's picture of the method, from real digits and real masks.

python scripts/draw_idea.py --output=docs/idea.png
"""

import os
import sys

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import flags

from mixmo_tf.paths import expanded
from mixmo_tf.plots import files, idea

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "docs/idea.png", "Where the picture goes.")
flags.DEFINE_integer("seed", 3, "Seed of the mask.")


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"draw_idea.py: unknown argument {arguments[1]}; flags start with --")
    try:
        output = expanded(FLAGS.output)
        files.check(output)
        figure = idea.draw(FLAGS.seed)
        output.parent.mkdir(parents=True, exist_ok=True)
        files.save(figure, output)
    except (ValueError, OSError) as error:
        sys.exit(f"draw_idea.py: {error}")
    print(f"Wrote {output}.")


if __name__ == "__main__":
    ending.run(main)
