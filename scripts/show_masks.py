"""Draws what the mixing blocks do to real images: a picture per block.

    python scripts/show_masks.py --output_dir=docs/masks

A line of a picture is a row of a step: the members' images, the members' masks in their
colours, the images mixed by the masks (in training their encoded images are), and numbers: the
ratios κ that were drawn, the realised ratios, and the weights of the members' losses.
"""

import os
import sys

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import flags, logging

import mixmo_tf
from mixmo_tf import data, masks
from mixmo_tf.paths import expanded
from mixmo_tf.plots import files
from mixmo_tf.plots import masks as pictures

FLAGS = flags.FLAGS
flags.DEFINE_list("mixing", list(masks.NAMES), f"The blocks to draw: {', '.join(masks.NAMES)}.")
flags.DEFINE_string("dataset", "digits", f"Where the images come from: {', '.join(data.NAMES)}.")
flags.DEFINE_string(
    "data_dir", None, "Folder of tensorflow-datasets; ~/tensorflow_datasets if not set."
)
flags.DEFINE_integer("image_size", None, "Height and width of an image_folder's images, in pixels.")
flags.DEFINE_integer("num_members", 2, "M, 2 to 20.", lower_bound=2, upper_bound=20)
flags.DEFINE_integer("rows", 3, "Rows of each picture, 1 to 50.", lower_bound=1, upper_bound=50)
flags.DEFINE_float("alpha", 2.0, "α >= 0 of the Dirichlet that the ratios are drawn from.")
flags.DEFINE_float("weight_root", 3.0, "r > 0, the root in the loss weights.")
flags.DEFINE_integer("seed", 0, "Seed of the images and of all that is drawn.", lower_bound=0)
flags.DEFINE_string("output_dir", "masks", "Folder of the pictures, BLOCK.png.")


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"show_masks.py: unknown argument {arguments[1]}; flags start with --")
    logging.set_verbosity(logging.WARNING)
    try:
        for name in FLAGS.mixing or [""]:
            mixmo_tf.arguments.one_of("mixing", name, masks.NAMES)
        output = expanded(FLAGS.output_dir)
        for name in FLAGS.mixing:
            files.check(output / f"{name}.png")
        images = choose_images()
        output.mkdir(parents=True, exist_ok=True)
        for name in FLAGS.mixing:
            figure = pictures.draw(name, images, FLAGS.alpha, FLAGS.weight_root, FLAGS.seed)
            files.save(figure, output / f"{name}.png")
            print(f"Wrote {output / name}.png.")
    except (ValueError, OSError) as error:
        sys.exit(f"show_masks.py: {error}")


def choose_images():
    """Test images in [0, 1] of different classes for every row: (rows, M, H, W, channels)."""
    split = "test" if data.has_test_split(FLAGS.dataset) else "train"
    examples = data.load_examples(FLAGS.dataset, split, FLAGS.data_dir, image_size=FLAGS.image_size)
    present = np.unique(examples.labels)
    if FLAGS.num_members > len(present):
        raise ValueError(f"num_members must be <= {len(present)} classes, got {FLAGS.num_members}")
    random = np.random.default_rng(FLAGS.seed)
    chosen = []
    for _ in range(FLAGS.rows):
        for label in random.choice(present, FLAGS.num_members, replace=False):
            chosen.append(random.choice(np.flatnonzero(examples.labels == label)))
    pixels = examples.take(np.array(chosen)).in_memory().images / 255
    return pixels.reshape(FLAGS.rows, FLAGS.num_members, *pixels.shape[1:])


if __name__ == "__main__":
    ending.run(main)
