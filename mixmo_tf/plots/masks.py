"""What a mixing block does to real images."""

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mixmo_tf import masks, ratios, seeds
from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADINGS = 0.3  # inches above the pictures


def draw(name: str, images: np.ndarray, alpha: float, weight_root: float, seed: int) -> "Figure":
    """Of each row: images, masks, what is mixed, and the numbers.

    Args:
        name: of the mixing block, one of `masks.NAMES`.
        images: float in [0, 1], (rows, M, H, W, channels).
        alpha: α >= 0 of the Dirichlet that the ratios are drawn from.
        weight_root: r > 0, the root in the loss weights.
        seed: int >= 0.
    """
    rows, num_members, height, width, _ = images.shape
    ratios_seed, mask_seed = seeds.split([0, seed], 2)
    kappa = ratios.draw(rows, num_members, alpha, ratios_seed)  # (rows, M)
    drawn = masks.draw(name, kappa, (height, width), mask_seed)  # (rows, H, W, M)
    realised = tf.reduce_mean(drawn, axis=[1, 2])  # (rows, M)
    weights = ratios.loss_weights(realised, weight_root)
    return sheet(images, *map(np.asarray, (drawn, kappa, weights)), f"--mixing={name}")


def sheet(
    images: np.ndarray, drawn: np.ndarray, kappa: np.ndarray, weights: np.ndarray, title: str
) -> "Figure":
    """Of each row: images, masks, what is mixed, and the numbers.

    Args:
        images: float in [0, 1], (rows, M, H, W, channels), of one channel or three.
        drawn: float in [0, 1], (rows, h, w, M), masks, of the images' size or smaller.
        kappa: float (rows, M), the ratios that were drawn.
        weights: float (rows, M), the loss weights.
        title: of the numbers, such as the mixing block's name.

    Returns:
        Figure; the realised ratios are the masks' means.

    Raises:
        ValueError: if the shapes disagree.
    """
    _check(images, drawn, kappa, weights)
    rows, num_members, height, width, _ = images.shape
    down, across = drawn.shape[1:3]
    as_large = drawn[:, np.arange(height) * down // height]
    as_large = as_large[:, :, np.arange(width) * across // width]  # (rows, H, W, M)
    mixed = np.einsum("rmhwc,rhwm->rhwc", images, as_large)
    realised = drawn.mean(axis=(1, 2))

    columns = 2 * num_members + 1
    figure = style.figure(1.25 * columns + 2.6, 1.3 * rows + _HEADINGS + 0.1, None)
    figure.set_layout_engine("none")
    grid = figure.add_gridspec(
        rows, columns + 1, width_ratios=[1] * columns + [2.0], left=0.01, right=0.995,
        bottom=0.02, top=1 - _HEADINGS / figure.get_figheight(), wspace=0.08, hspace=0.08,
    )  # fmt: skip
    for row in range(rows):
        pictures = [
            *[(f"image {i}", images[row, i], i) for i in range(num_members)],
            *[(f"mask {i}", _tint(as_large[row, ..., i], i), i) for i in range(num_members)],
            ("mixed", mixed[row], None),
        ]
        for column, (name, pixels, member) in enumerate(pictures):
            axes = figure.add_subplot(grid[row, column], xticks=[], yticks=[])
            pixels = np.broadcast_to(np.clip(pixels, 0, 1), (height, width, 3))
            axes.imshow(pixels, interpolation="nearest")
            colour = style.INK if member is None else colours.of_member(member)
            axes.spines[:].set(color=colour, linewidth=1.5)
            if row == 0:
                axes.set_title(name, color=colour, fontsize=10, pad=4)
        numbers = figure.add_subplot(grid[row, -1])
        _write_numbers(numbers, row, kappa, realised, weights)
        if row == 0:
            numbers.set_title(title, fontsize=10, family="monospace", pad=4, color=style.INK)
    return figure


def _check(images, drawn, kappa, weights):
    if images.ndim != 5 or images.shape[-1] not in (1, 3):
        raise ValueError(f"images must be (rows, M, H, W, 1 or 3), got {images.shape}")
    rows, num_members = images.shape[:2]
    if drawn.ndim != 4 or (drawn.shape[0], drawn.shape[3]) != (rows, num_members):
        raise ValueError(f"drawn must be ({rows}, h, w, {num_members}), got {drawn.shape}")
    for name, values in (("kappa", kappa), ("weights", weights)):
        if values.shape != (rows, num_members):
            raise ValueError(f"{name} must be ({rows}, {num_members}), got {values.shape}")


def _tint(mask, member):
    """A mask (H, W), 0 as dark and 1 as the member's colour: (H, W, 3)."""
    from matplotlib.colors import to_rgb

    colour = np.array(to_rgb(colours.of_member(member)))
    return 0.1 + mask[..., None] * (colour - 0.1)


def _write_numbers(axes, row, *values):
    """A table of a row's numbers: a line per member, in its colour."""
    axes.axis("off")
    num_members = values[0].shape[1]
    titles = ("κ", "realised", "weight")
    lines = np.linspace(0.85, max(0.85 - 0.22 * num_members, 0.03), num_members + 1)
    size = min(10, 45 / num_members)
    for x, title, numbers in zip((0.22, 0.58, 0.95), titles, values, strict=True):
        axes.text(x, lines[0], title, ha="right", fontsize=min(9, size), color=style.INK)
        for i in range(num_members):
            axes.text(
                x, lines[i + 1], f"{float(numbers[row, i]):.2f}", fontsize=size, ha="right",
                color=colours.of_member(i),
            )  # fmt: skip
