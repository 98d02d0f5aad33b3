"""The README's picture of the method, from real digits and real masks."""

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mixmo_tf import data, masks, ratios
from mixmo_tf.plots import colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREY = "#555555"


def draw(seed: int) -> "Figure":
    """Two digits on their way through the network, a matplotlib Figure.

    Args:
        seed: int, of the mask.
    """
    from matplotlib.figure import Figure

    images, labels, _ = data.load_arrays("digits", "test")
    chosen = [np.flatnonzero(labels == digit)[2] for digit in (3, 8)]
    kappa = tf.constant([[0.55, 0.45]])
    mask = masks.draw("cutmix", kappa, (32, 32), [0, seed])[0].numpy()  # (32, 32, 2)
    realised = mask.mean(axis=(0, 1))
    weights = ratios.loss_weights(realised[None], 3.0).numpy()[0]

    figure = Figure(figsize=(12, 3.8), dpi=150)
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, 12), ylim=(0, 3.8))
    axes.axis("off")
    for member, y in enumerate((2.1, 0.2)):
        colour = colours.of_member(member)
        tinted = _tint(images[chosen[member], ..., 0], colour)
        _picture(figure, tinted, 0.35, y, f"image {member}, “{labels[chosen[member]]}”", colour)
        _box(axes, 2.2, y + 0.3, 1.2, 0.7, f"encoder {member}\n3×3 conv", colour)
        _arrow(axes, 1.7, y + 0.65, 2.2, y + 0.65, colour)
        _picture(figure, _tint(mask[..., member] * 255, colour), 3.9, y, f"mask {member}", colour)
        _arrow(axes, 3.4, y + 0.65, 3.9, y + 0.65, colour)
        _arrow(axes, 5.2, y + 0.65, 5.75, 1.75 + 0.35 * (1 - 2 * member), colour)
        _box(axes, 9.3, y + 0.3, 0.95, 0.7, f"head {member}", colour)
        _arrow(axes, 8.95, 1.8 + 0.2 * (1 - 2 * member), 9.3, y + 0.65, colour)
        _arrow(axes, 10.25, y + 0.65, 10.6, y + 0.65, colour)
        text = f"predicts “{labels[chosen[member]]}”\nloss × {weights[member]:.2f}"
        axes.text(10.65, y + 0.65, text, color=colour, va="center", fontsize=11)
    mixed = sum(_tint(images[c, ..., 0], colours.of_member(i)) * mask[..., i, None]
                for i, c in enumerate(chosen))  # fmt: skip
    _picture(figure, mixed, 5.8, 1.15, "mixed features", _GREY)
    _arrow(axes, 7.1, 1.8, 7.4, 1.8, _GREY)
    _box(axes, 7.4, 1.25, 1.55, 1.1, "shared core\n(ResNet)", _GREY)
    return figure


def _tint(pixels, colour):
    """Grey pixels 0–255 (h, w) as light on dark in a colour: float (h, w, 3) in [0, 1]."""
    from matplotlib.colors import to_rgb

    return 0.08 + 0.92 * pixels[..., None] / 255 * np.array(to_rgb(colour))


def _picture(figure, image, x, y, title, colour):
    """An image 1.3 units wide with its lower left corner at (x, y), and a title above."""
    axes = figure.add_axes([x / 12, y / 3.8, 1.3 / 12, 1.3 / 3.8])
    axes.imshow(np.clip(image, 0, 1), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, color=colour, fontsize=11)
    axes.spines[:].set(color=colour, linewidth=2)


def _box(axes, x, y, width, height, text, colour):
    from matplotlib import patches

    style = "round,pad=0.02,rounding_size=0.08"
    axes.add_patch(
        patches.FancyBboxPatch((x, y), width, height, boxstyle=style, fc="white", ec=colour, lw=2)
    )
    axes.text(
        x + width / 2, y + height / 2, text, ha="center", va="center", color=colour, fontsize=11
    )


def _arrow(axes, x, y, to_x, to_y, colour):
    axes.annotate(
        "", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2}
    )
