"""How much each pair of members differs."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.evaluation import diversity
from mixmo_tf.evaluation.metrics import heading, written
from mixmo_tf.plots import heat_map, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def diversity_heat_map(
    predicted: ArrayLike,
    labels: ArrayLike,
    measure: str = "disagreement",
    title: str | None = None,
) -> "Figure":
    """A measure of diversity of each pair of members, and its mean.

    Args:
        predicted: int (N, M), each member's class.
        labels: int (N,).
        measure: one of `evaluation.MEASURES`.
        title: str; the measure's name and mean if None.

    Returns:
        Figure; a pair that does not define the measure, and the diagonal, are empty.

    Raises:
        ValueError: if `measure` is unknown, the shapes disagree, or M < 2.
    """
    values = diversity.pairwise(measure, predicted, labels)
    defined = values[np.isfinite(values)]
    mean = written(measure, defined.mean() if len(defined) else None)
    members = [str(i) for i in range(len(values))]
    side = 1.6 + 0.55 * max(len(values), 3)
    figure = style.figure(side + 0.8, side, title or f"Members' {heading(measure)}: mean {mean}")
    axes = figure.subplots()

    def number(row, column):
        undefined = "" if row == column else "–"
        value = values[row, column]
        return written(measure, value) if np.isfinite(value) else undefined

    limits = (min(defined.min(), 0), 1.2 * max(defined.max(), 0)) if len(defined) else (0, 1)
    heat_map.draw_on(axes, values, members, members, number, limits)
    axes.set_xlabel("member")
    axes.set_ylabel("member")
    return figure
