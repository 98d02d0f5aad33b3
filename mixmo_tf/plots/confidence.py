"""How confident right and wrong answers are."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.evaluation import predictions, selective
from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 40


def confidence_histogram(
    probabilities: ArrayLike, labels: ArrayLike, title: str | None = None
) -> "Figure":
    """Right answers and wrong ones by confidence, each as shares of their own number.

    Args:
        probabilities: float (N, C).
        labels: int (N,).
        title: str; what the picture shows if None.

    Returns:
        Figure; where there is no wrong answer, or no right one, that histogram is left out.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    confidence, wrong = predictions.confidence_and_wrong(probabilities, labels)
    auroc = selective.misclassification_auroc(probabilities, labels)
    with_auroc = "" if np.isnan(auroc) else f", AUROC {auroc:.2%}"
    figure = style.figure(6.2, 3.6, title or f"Confidence of right and wrong answers{with_auroc}")
    axes = figure.subplots()
    edges = np.linspace(0, 1, _BINS + 1)
    handles, names = [], []
    for series, (name, chosen) in enumerate((("right", ~wrong), ("wrong", wrong))):
        shares = np.histogram(confidence[chosen], edges)[0] / max(chosen.sum(), 1)
        names.append(f"{name}: {chosen.sum():,} answers")
        look = colours.line_of(series)
        handles.append(axes.stairs(shares, edges, linewidth=1.5, **look))
        axes.stairs(shares, edges, fill=True, alpha=0.25, **look)
        if not chosen.any():
            handles[-1].set_visible(False)
    style.plain(axes, "confidence", "share of these answers")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    style.percent(axes.xaxis)
    style.percent(axes.yaxis)
    style.legend(figure, handles, names, ncols=2)
    return figure
