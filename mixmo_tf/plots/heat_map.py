"""A matrix as coloured cells with their numbers."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mixmo_tf.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = "Blues"
_DARK = 0.65  # the share of the colours from which on numbers are white


def draw_on(
    axes: "Axes",
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    written: Callable[[int, int], str],
    limits: tuple[float, float],
) -> None:
    """Fills axes with the cells of a matrix; NaN leaves a cell empty.

    Args:
        axes: Matplotlib's.
        values: float (rows, columns), what the colours show.
        rows, columns: their names.
        written: what stands in the cell of a row and a column.
        limits: (lowest, highest) value of the colours.
    """
    low, high = limits
    axes.imshow(values, cmap=COLOURS, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    size = 8 if len(columns) <= 12 else 7
    for row, column in np.ndindex(values.shape):
        share = (values[row, column] - low) / (high - low) if high > low else 0
        colour = style.MUTED if np.isnan(share) else style.ON_CELLS[int(share > _DARK)]
        text = written(row, column)
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    style.plain(axes, grid=None)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks(range(len(rows)), list(map(style.shortened, rows)), parse_math=False)
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    needs_room = max(map(len, columns)) > (4 if len(columns) > 4 else 14)
    names = list(map(style.shortened, columns))
    axes.set_xticks(range(len(columns)), names, parse_math=False, **(turned if needs_room else {}))
