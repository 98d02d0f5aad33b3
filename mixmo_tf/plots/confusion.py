"""Which classes a model takes for which."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.plots import colours, heat_map, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CELLS = 20  # classes whose whole matrix can be read
MOST_PAIRS = 20


def confusion_matrix(
    matrix: ArrayLike, class_names: Sequence[str], title: str | None = None
) -> "Figure":
    """Images by label and answer; of more than 20 classes, the pairs that are most confused.

    Args:
        matrix: int (C, C), the images by label (rows) and by answer, as `evaluation.per_class`
            gives them.
        class_names: of the C classes.
        title: str; what the picture shows if None.

    Returns:
        Figure; up to 20 classes the matrix with its counts, coloured by their share of the row,
        and empty cells where there are none; beyond that bars of the largest counts beside the
        diagonal, 20 at most.

    Raises:
        ValueError: if the matrix is not square or has a number below 0, or the names are not as
            many as its rows.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"matrix must be (C, C), got {matrix.shape}")
    if matrix.min() < 0:
        raise ValueError(f"matrix must be >= 0, got {matrix.min()}")
    if len(class_names) != len(matrix):
        raise ValueError(f"class_names must be {len(matrix)} names, got {len(class_names)}")
    if len(matrix) > MOST_CELLS:
        return _pairs(matrix, class_names, title)
    side = 1.9 + 0.42 * max(len(matrix), 4)
    figure = style.figure(side + 0.6, side, title or "Answers by class")
    axes = figure.subplots()
    with np.errstate(invalid="ignore"):
        shares = matrix / matrix.sum(axis=1, keepdims=True)
    shares = np.where(matrix > 0, shares, np.nan)

    def written(row, column):
        return f"{matrix[row, column]}" if matrix[row, column] else ""

    heat_map.draw_on(axes, shares, class_names, class_names, written, (0, 1))
    axes.set_xlabel("answer")
    axes.set_ylabel("label")
    return figure


def most_confused(matrix: ArrayLike, most: int = MOST_PAIRS) -> list[tuple[int, int, int]]:
    """The largest counts beside the diagonal: (label, answer, images), from the largest on.

    Of equal counts the lower label, then the lower answer, goes first; counts of 0 are left out.

    Args:
        matrix: int (C, C).
        most: int >= 1, how many.
    """
    wrong = np.array(matrix)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = zip(*np.unravel_index(order, wrong.shape), strict=True)
    found = [(int(label), int(answer), int(wrong[label, answer])) for label, answer in cells]
    return [each for each in found if each[2]]


def _pairs(matrix, class_names, title):
    """Bars of the most confused pairs, with their share of the label's images."""
    from matplotlib.ticker import MaxNLocator

    pairs = most_confused(matrix)
    named = f"The classes that are most confused, of {len(matrix):,}"
    figure = style.figure(6.4, 1.2 + 0.27 * max(len(pairs), 2), title or named)
    axes = figure.subplots()
    counts = [count for _, _, count in pairs]
    axes.barh(range(len(pairs)), counts, 0.7, color=colours.of_member(0))
    names = [
        f"{style.shortened(class_names[label])} → {style.shortened(class_names[answer])}"
        for label, answer, _ in pairs
    ]
    images = matrix.sum(axis=1)
    style.plain(axes, "images, and their share of the label's", grid="x")
    for place, (label, _, count) in enumerate(pairs):
        text = f"{count} ({count / images[label]:.0%})"
        beside = {"xytext": (4, 0), "textcoords": "offset points"}
        axes.annotate(text, (count, place), **beside, va="center", fontsize=8, color=style.INK)
    axes.set_yticks(range(len(pairs)), names, parse_math=False)
    axes.set_xlim(0, 1.2 * max(counts, default=1))
    axes.set_ylim(max(len(pairs), 1) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if not pairs:
        axes.axis("off")
        axes.text(
            0.5, 0.5, "no answer is wrong", transform=axes.transAxes, ha="center", color=style.INK
        )
    return figure
