"""What accuracy costs: methods by a cost, such as parameters."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 20  # ratio of the costs from which on their axis is logarithmic
_APART = 0.062  # of the axes' height, between names


def accuracy_against_cost(
    accuracies: Mapping[str, ArrayLike],
    costs: Mapping[str, float],
    cost: str = "parameters",
    title: str | None = None,
) -> "Figure":
    """The methods of a suite: accuracy against what it costs.

    Args:
        accuracies: float (runs,) in [0, 1] by the method's name; those of each run. A method
            without runs is left out.
        costs: float > 0, of one run, by the method's name.
        cost: what the cost is called, with its unit.
        title: str; what the picture shows if None.

    Returns:
        Figure; a dot is the mean of a method's runs, and a bar one standard deviation on either
        side; the axis of the costs begins at 0, or is logarithmic where they differ by more than a
        factor of 20. The names are at the right, from the most accurate down.

    Raises:
        ValueError: if no method has a run, or a method's cost is missing or not > 0.
    """
    from matplotlib.ticker import EngFormatter

    accuracies = {name: np.asarray(each, np.float64) for name, each in accuracies.items()}
    accuracies = {name: each for name, each in accuracies.items() if each.size}
    if not accuracies:
        raise ValueError("accuracies must be of one run or more, got none")
    for name in accuracies:
        if not costs.get(name, 0) > 0:
            raise ValueError(f"costs must be > 0 for each method, got {costs.get(name)} for {name}")
    height = max(3.4, 1.2 + 0.26 * len(accuracies))
    figure = style.figure(6.8, height, title or f"Accuracy against {cost}")
    axes = figure.subplots()
    style.plain(axes, cost, "accuracy", grid="both")
    means = np.array([each.mean() for each in accuracies.values()])
    spreads = np.array([each.std(ddof=1) if each.size > 1 else 0 for each in accuracies.values()])
    low, high = (means - spreads).min(), (means + spreads).max()
    margin = max(0.08 * (high - low), 0.005)
    axes.set_ylim(low - margin, high + margin)
    of_each = [costs[name] for name in accuracies]
    if max(of_each) > _WIDE * min(of_each):
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, 1.08 * max(of_each))
    axes.xaxis.set_major_formatter(EngFormatter())
    style.percent(axes.yaxis)
    order = np.argsort(means, kind="stable")
    places = (means[order] - low + margin) / (high - low + 2 * margin)
    names = list(accuracies)
    for place, i in zip(_apart(places), order, strict=True):
        colour = colours.of_member(i)
        axes.errorbar(
            costs[names[i]], means[i], spreads[i] or None, fmt="o", color=colour, capsize=3
        )
        axes.annotate(
            style.shortened(names[i], 32), (costs[names[i]], means[i]), (1.04, place),
            xycoords="data", textcoords="axes fraction", va="center", fontsize=8,
            color=style.INK, parse_math=False, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6},
        )  # fmt: skip
    return figure


def _apart(places):
    """Rising places in [0, 1], moved so that neighbours are apart."""
    places = np.array(places)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + _APART)
    for i in reversed(range(len(places))):
        highest = 1 - _APART * (len(places) - 1 - i)
        places[i] = min(places[i], highest)
    return places
