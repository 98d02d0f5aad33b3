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

import colours
import matplotlib
import numpy as np
import pictures
import tensorflow as tf
from absl import flags, logging

import mixmo_tf
from mixmo_tf import data, masks, ratios, seeds
from mixmo_tf.paths import expanded

matplotlib.use("Agg")
from matplotlib import pyplot as plt

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
            pictures.check(output / f"{name}.png")
        images = choose_images()
        output.mkdir(parents=True, exist_ok=True)
        for name in FLAGS.mixing:
            pictures.save(draw_block(name, images), output / f"{name}.png")
            plt.close("all")
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


def draw_block(name, images):
    """The picture of one block, a matplotlib Figure."""
    rows, num_members, height, width, _ = images.shape
    ratios_seed, mask_seed = seeds.split([0, FLAGS.seed], 2)
    kappa = ratios.draw(rows, num_members, FLAGS.alpha, ratios_seed)  # (rows, M)
    drawn = masks.draw(name, kappa, (height, width), mask_seed)  # (rows, H, W, M)
    realised = tf.reduce_mean(drawn, axis=[1, 2])  # (rows, M)
    weights = ratios.loss_weights(realised, FLAGS.weight_root)
    mixed = np.einsum("rmhwc,rhwm->rhwc", images, drawn)

    columns = 2 * num_members + 1
    figure = plt.figure(figsize=(1.25 * columns + 2.6, 1.3 * rows + 0.4), dpi=100)
    grid = figure.add_gridspec(
        rows, columns + 1, width_ratios=[1] * columns + [2.0], left=0.01, right=0.995,
        bottom=0.02, top=1 - 0.3 / figure.get_figheight(), wspace=0.08, hspace=0.08,
    )  # fmt: skip
    for row in range(rows):
        pictures = [
            *[(f"image {i}", images[row, i], i) for i in range(num_members)],
            *[(f"mask {i}", tint(drawn[row, ..., i], i), i) for i in range(num_members)],
            ("mixed", mixed[row], None),
        ]
        for column, (title, pixels, member) in enumerate(pictures):
            axes = figure.add_subplot(grid[row, column], xticks=[], yticks=[])
            axes.imshow(np.clip(pixels, 0, 1), interpolation="nearest")
            colour = "#222222" if member is None else colours.of_member(member)
            for spine in axes.spines.values():
                spine.set(color=colour, linewidth=1.5)
            if row == 0:
                axes.set_title(title, color=colour, fontsize=10, pad=4)
        numbers = figure.add_subplot(grid[row, -1])
        write_numbers(numbers, row, kappa, realised, weights)
        if row == 0:
            numbers.set_title(f"--mixing={name}", fontsize=10, family="monospace", pad=4)
    return figure


def tint(mask, member):
    """A mask (H, W), 0 as dark and 1 as the member's colour: (H, W, 3)."""
    colour = np.array(matplotlib.colors.to_rgb(colours.of_member(member)))
    return 0.1 + np.asarray(mask)[..., None] * (colour - 0.1)


def write_numbers(axes, row, *values):
    """A table of a row's numbers: a line per member, in its colour."""
    axes.axis("off")
    num_members = values[0].shape[1]
    titles = ("κ", "realised", "weight")
    lines = np.linspace(0.85, 0.85 - 0.22 * num_members, num_members + 1)
    for x, title, numbers in zip((0.16, 0.52, 0.92), titles, values):
        axes.text(x, lines[0], title, ha="right" if x > 0.2 else "center", fontsize=9)
        for i in range(num_members):
            axes.text(
                x, lines[i + 1], f"{float(numbers[row, i]):.2f}", fontsize=10,
                ha="right" if x > 0.2 else "center", color=colours.of_member(i),
            )  # fmt: skip


if __name__ == "__main__":
    ending.run(main)
