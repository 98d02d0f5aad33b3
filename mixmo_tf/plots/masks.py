"""What a mixing block does to real images."""

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mixmo_tf import masks, ratios, seeds
from mixmo_tf.plots import colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(name: str, images: np.ndarray, alpha: float, weight_root: float, seed: int) -> "Figure":
    """Of each row: images, masks, what is mixed, and the numbers.

    Args:
        name: of the mixing block, one of `masks.NAMES`.
        images: float in [0, 1], (rows, M, H, W, channels).
        alpha: α >= 0 of the Dirichlet that the ratios are drawn from.
        weight_root: r > 0, the root in the loss weights.
        seed: int >= 0.
    """
    from matplotlib.figure import Figure

    rows, num_members, height, width, _ = images.shape
    ratios_seed, mask_seed = seeds.split([0, seed], 2)
    kappa = ratios.draw(rows, num_members, alpha, ratios_seed)  # (rows, M)
    drawn = masks.draw(name, kappa, (height, width), mask_seed)  # (rows, H, W, M)
    realised = tf.reduce_mean(drawn, axis=[1, 2])  # (rows, M)
    weights = ratios.loss_weights(realised, weight_root)
    mixed = np.einsum("rmhwc,rhwm->rhwc", images, drawn)

    columns = 2 * num_members + 1
    figure = Figure(figsize=(1.25 * columns + 2.6, 1.3 * rows + 0.4), dpi=100)
    grid = figure.add_gridspec(
        rows, columns + 1, width_ratios=[1] * columns + [2.0], left=0.01, right=0.995,
        bottom=0.02, top=1 - 0.3 / figure.get_figheight(), wspace=0.08, hspace=0.08,
    )  # fmt: skip
    for row in range(rows):
        pictures = [
            *[(f"image {i}", images[row, i], i) for i in range(num_members)],
            *[(f"mask {i}", _tint(drawn[row, ..., i], i), i) for i in range(num_members)],
            ("mixed", mixed[row], None),
        ]
        for column, (title, pixels, member) in enumerate(pictures):
            axes = figure.add_subplot(grid[row, column], xticks=[], yticks=[])
            axes.imshow(np.clip(pixels, 0, 1), interpolation="nearest")
            colour = "#222222" if member is None else colours.of_member(member)
            axes.spines[:].set(color=colour, linewidth=1.5)
            if row == 0:
                axes.set_title(title, color=colour, fontsize=10, pad=4)
        numbers = figure.add_subplot(grid[row, -1])
        _write_numbers(numbers, row, kappa, realised, weights)
        if row == 0:
            numbers.set_title(f"--mixing={name}", fontsize=10, family="monospace", pad=4)
    return figure


def _tint(mask, member):
    """A mask (H, W), 0 as dark and 1 as the member's colour: (H, W, 3)."""
    from matplotlib.colors import to_rgb

    colour = np.array(to_rgb(colours.of_member(member)))
    return 0.1 + np.asarray(mask)[..., None] * (colour - 0.1)


def _write_numbers(axes, row, *values):
    """A table of a row's numbers: a line per member, in its colour."""
    axes.axis("off")
    num_members = values[0].shape[1]
    titles = ("κ", "realised", "weight")
    lines = np.linspace(0.85, 0.85 - 0.22 * num_members, num_members + 1)
    for x, title, numbers in zip((0.16, 0.52, 0.92), titles, values, strict=True):
        axes.text(x, lines[0], title, ha="right" if x > 0.2 else "center", fontsize=9)
        for i in range(num_members):
            axes.text(
                x, lines[i + 1], f"{float(numbers[row, i]):.2f}", fontsize=10,
                ha="right" if x > 0.2 else "center", color=colours.of_member(i),
            )  # fmt: skip
