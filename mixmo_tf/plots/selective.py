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
    height = 4 + 0.1 * (len(probabilities) + len(thresholds))
    figure = style.figure(6.6, height, title or _TITLE)
    axes = figure.subplots()
    curves, names, best = [], [], None
    for series, (name, of_model) in enumerate(probabilities.items()):
        coverage, risk = selective.risk_coverage(of_model, labels)
        chosen = np.linspace(0, len(risk) - 1, min(len(risk), _MOST_POINTS)).astype(int)
        look = colours.line_of(series) | {"linewidth": 2 if series == 0 else 1.2}
        curves += axes.plot(coverage[chosen], risk[chosen], zorder=3 - 0.01 * series, **look)
        names.append(f"{style.shortened(name)}: AURC {np.mean(risk):.4f}")
        if best is None:
            best = np.maximum(1 - (1 - risk[-1]) / coverage[chosen], 0)
            of_best = axes.plot(coverage[chosen], best, color=style.MUTED, linewidth=1)
    marks, kept = _draw_marks(axes, next(iter(probabilities.values())), labels, thresholds)
    style.plain(axes, "coverage: answered images", "risk: wrong answers")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(bottom=0)
    style.percent(axes.xaxis)
    style.percent(axes.yaxis)
    first = style.shortened(next(iter(probabilities)))
    names += [f"{first}, errors held back first", *kept]
    style.legend(figure, [*curves, *of_best, *marks], names, ncols=2)
    return figure


def _draw_marks(axes, probabilities, labels, thresholds):
    """Draws the thresholds that keep an answer; gives the handles and names of the legend."""
    handles, names = [], []
    for threshold in thresholds:
        coverage, risk = abstention.coverage_and_risk(probabilities, labels, threshold)
        if coverage:
            marker = _MARKERS[len(names) % len(_MARKERS)]
            handles += axes.plot(
                coverage, risk, marker, color=colours.of_member(0), markersize=7, zorder=4,
                markeredgecolor=style.PAPER, clip_on=False,
            )  # fmt: skip
            names.append(f"confidence ≥ {threshold:g}: {coverage:.1%} answered, {risk:.2%} wrong")
    return handles, names
