"""How accuracy falls on corrupted images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.plots import heat_map, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def corruption_heat_map(
    accuracies: ArrayLike,
    names: Sequence[str],
    severities: Sequence[int],
    clean: float | None = None,
    title: str | None = None,
) -> "Figure":
    """Accuracy by corruption and severity, with their means.

    Args:
        accuracies: float (corruptions, severities) in [0, 1]; NaN where a set is missing.
        names: of the corruptions, such as those of `data.corruptions`.
        severities: 1 to 5.
        clean: float, the accuracy on the images as they are; None if it is not known.
        title: str; what the picture shows if None.

    Returns:
        Figure; a cell is in per cent; the last row and the last column are means of the sets that
        there are.

    Raises:
        ValueError: if the shapes disagree.
    """
    accuracies = np.asarray(accuracies, np.float64)
    if accuracies.shape != (len(names), len(severities)) or not accuracies.size:
        expected = f"({len(names)}, {len(severities)})"
        raise ValueError(f"accuracies must be {expected}, got {accuracies.shape}")
    whole = np.full(np.add(accuracies.shape, 1), np.nan)
    whole[:-1, :-1] = accuracies
    whole[:-1, -1], whole[-1, :-1] = _mean(accuracies, 1), _mean(accuracies, 0)
    whole[-1, -1] = _mean(accuracies.reshape(1, -1), 1)[0]
    of_clean = "" if clean is None else f"; {clean:.1%} on the images as they are"
    named = f"Accuracy on corrupted images, %{of_clean}"
    figure = style.figure(2.6 + 0.6 * whole.shape[1], 1.3 + 0.27 * len(whole), title or named)
    axes = figure.subplots()

    def written(row, column):
        value = whole[row, column]
        return "–" if np.isnan(value) else f"{100 * value:.1f}"

    rows = [*(name.replace("_", " ") for name in names), "mean"]
    columns = [*map(str, severities), "mean"]
    heat_map.draw_on(axes, whole, rows, columns, written, (0, 1))
    axes.axhline(len(names) - 0.5, color=style.PAPER, linewidth=3)
    axes.axvline(len(severities) - 0.5, color=style.PAPER, linewidth=3)
    axes.set_xlabel("severity")
    return figure


def _mean(values, axis):
    """The mean of what is not NaN; NaN where all is."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=axis) / there.sum(axis=axis)
