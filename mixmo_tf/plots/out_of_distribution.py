"""How well a confidence tells images of something else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf import evaluation
from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 40


def ood_histograms(
    scores_in: ArrayLike,
    scores_out: Mapping[str, ArrayLike],
    score: str = "confidence",
    title: str | None = None,
) -> "Figure":
    """A confidence on images in and out of distribution, and the ROC curves of telling them apart.

    Args:
        scores_in: float (N,), finite, of images in distribution, such as a value of
            `evaluation.ood_scores`.
        scores_out: float (K,), finite, by the name of a set of images of something else.
        score: what the confidence is called.
        title: str; what the picture shows if None.

    Returns:
        Figure; at the left, the shares of each set's images in 40 bins; at the right, ROC curves,
        whose positive class is out of distribution, with AUROC and FPR at a TPR of 95 %.

    Raises:
        ValueError: if there is no set, or scores are not (N,) finite numbers.
    """
    if not scores_out:
        raise ValueError("scores_out must be of one set or more, got none")
    figures = {name: evaluation.ood(scores_in, each) for name, each in scores_out.items()}
    sets = {"in distribution": np.asarray(scores_in, np.float64)}
    sets |= {name: np.asarray(each, np.float64) for name, each in scores_out.items()}
    values = np.concatenate(list(sets.values()))
    if not np.isfinite(values).all():
        raise ValueError("scores_in and scores_out must be finite to be drawn, got an infinite one")
    figure = style.figure(
        9.2, 3.8 + 0.18 * (1 + len(scores_out)), title or f"Out of distribution, by {score}"
    )
    left, right = figure.subplots(1, 2)
    edges = np.histogram_bin_edges(values, _BINS)
    handles, names = [], []
    for series, (name, of_set) in enumerate(sets.items()):
        shares = np.histogram(of_set, edges)[0] / len(of_set)
        look = colours.line_of(series)
        handles.append(left.stairs(shares, edges, linewidth=1.5, **look))
        names.append(f"{style.shortened(name, 32)}: {len(of_set):,} images")
        if series == 0:
            left.stairs(shares, edges, fill=True, alpha=0.25, **look)
            continue
        (line,) = right.plot(*evaluation.ood_roc(scores_in, of_set), **look)
        of_roc = figures[name]
        right.plot(of_roc["fpr_at_95_tpr"], 0.95, "o", color=look["color"], markersize=5)
        line.set_label(
            f"{style.shortened(name, 32)}: AUROC {of_roc['auroc']:.2%}, "
            f"FPR@95 {of_roc['fpr_at_95_tpr']:.2%}"
        )
    style.plain(left, score, "share of the set's images")
    left.set_ylim(bottom=0)
    style.percent(left.yaxis)
    (chance,) = right.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1)
    style.plain(right, "rejected of those in distribution", "rejected of the others", grid="both")
    right.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    style.percent(right.xaxis)
    style.percent(right.yaxis)
    beneath = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.14)}
    style.legend(left, handles, names, **beneath)
    lines = [line for line in right.lines if ":" in line.get_label()]
    style.legend(
        right, [*lines, chance], [*(line.get_label() for line in lines), "chance"], **beneath
    )
    return figure
