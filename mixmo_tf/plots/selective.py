"""How many errors are left when the least confident answers are held back."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.evaluation import abstention, selective
from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THRESHOLDS = (0.5, 0.8, 0.9, 0.95, 0.99)
_TITLE = "Risk and coverage: fewer answers, fewer errors"
_MARKERS = "os^Dv"
_MOST_POINTS = 1000  # of a curve: more are narrower than a pixel


def risk_coverage_curve(
    probabilities: Mapping[str, ArrayLike],
    labels: ArrayLike,
    thresholds: Sequence[float] = THRESHOLDS,
    title: str | None = None,
) -> "Figure":
    """The error among the most confident answers, by the share of the images they answer.

    Args:
        probabilities: float (N, C) by name, such as an ensemble's and its members'.
        labels: int (N,).
        thresholds: float >= 0, on the confidence of the first of them: each is a mark on its
            curve, with the coverage and the risk that it keeps. One that keeps nothing is left
            out.
        title: str; what the picture shows if None.

    Returns:
        Figure; a grey line is the curve of the first if its errors were the least confident.

    Raises:
        ValueError: if there is no model, the shapes disagree, or a label or threshold is out of
            range.
    """
    if not probabilities:
        raise ValueError("probabilities must be of one model or more, got none")
    figure = style.figure(6.2, 4 + 0.17 * (len(probabilities) + len(thresholds)), title or _TITLE)
    axes = figure.subplots()
    handles, names = [], []
    for series, (name, of_model) in enumerate(probabilities.items()):
        coverage, risk = selective.risk_coverage(of_model, labels)
        chosen = np.linspace(0, len(risk) - 1, min(len(risk), _MOST_POINTS)).astype(int)
        look = colours.line_of(series) | {"linewidth": 2 if series == 0 else 1.2}
        (line,) = axes.plot(coverage[chosen], risk[chosen], zorder=3 - 0.01 * series, **look)
        handles.append(line)
        names.append(f"{style.shortened(name, 40)}: AURC {np.mean(risk):.4f}")
        if series == 0:
            best = np.maximum(1 - (1 - risk[-1]) / coverage, 0)
            (line,) = axes.plot(coverage[chosen], best[chosen], color=style.MUTED, linewidth=1)
            of_best = [line], [f"best order of as many errors as {style.shortened(name)}"]
    first = next(iter(probabilities.values()))
    marks = [(each, *abstention.coverage_and_risk(first, labels, each)) for each in thresholds]
    marks = [(threshold, kept, risk) for threshold, kept, risk in marks if kept]
    for place, (threshold, kept, risk) in enumerate(marks):
        look = {"marker": _MARKERS[place % len(_MARKERS)], "linestyle": "none", "markersize": 7}
        (mark,) = axes.plot(
            kept,
            risk,
            color=colours.of_member(0),
            markeredgecolor=style.PAPER,
            zorder=4,
            clip_on=False,
            **look,
        )
        handles.append(mark)
        names.append(f"confidence ≥ {threshold:g}: {kept:.1%} answered, {risk:.2%} of them wrong")
    style.plain(
        axes, "coverage: share of the images that are answered", "risk: share of wrong answers"
    )
    axes.set_xlim(0, 1.01)
    axes.set_ylim(bottom=0)
    style.percent(axes.xaxis)
    style.percent(axes.yaxis)
    style.legend(figure, handles + of_best[0], names + of_best[1])
    return figure
