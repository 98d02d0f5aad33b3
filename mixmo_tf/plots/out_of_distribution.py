"""How well a confidence tells images of something else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf import evaluation
from mixmo_tf.evaluation.out_of_distribution import TRUE_POSITIVE_RATE as _TRUE
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
    metrics = {name: evaluation.ood(scores_in, each) for name, each in scores_out.items()}
    sets = {"in distribution": np.asarray(scores_in, np.float64)}
    sets |= {name: np.asarray(each, np.float64) for name, each in scores_out.items()}
    values = np.concatenate(list(sets.values()))
    if not np.isfinite(values).all():
        raise ValueError("scores_in and scores_out must be finite to be drawn, got an infinite one")
    height = 3.8 + 0.17 * (1 + len(scores_out))
    figure = style.figure(9.2, height, title or f"Out of distribution, by {score}")
    left, right = figure.subplots(1, 2)
    edges = np.histogram_bin_edges(values, _BINS)
    handles, names = [], []
    for series, (name, of_set) in enumerate(sets.items()):
        shares = np.histogram(of_set, edges)[0] / len(of_set)
        look = colours.line_of(series)
        handles.append(left.stairs(shares, edges, linewidth=1.5, **look))
        said = f"{style.shortened(name, 40)}: {len(of_set):,} images"
        if series == 0:
            left.stairs(shares, edges, fill=True, alpha=0.25, **look)
        else:
            auroc, false = metrics[name]["auroc"], metrics[name]["fpr_at_95_tpr"]
            right.plot(*evaluation.ood_roc(scores_in, of_set), **look)
            right.plot(false, _TRUE, "o", color=look["color"], markersize=5)
            said += f", AUROC {auroc:.2%}, FPR@95 {false:.2%} (dot)"
        names.append(said)
    handles += right.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1)
    style.plain(left, score, "share of the set's images")
    style.plain(right, "rejected of those in distribution", "rejected of the others", grid="both")
    left.xaxis.label.set_parse_math(False)
    left.set_ylim(bottom=0)
    right.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for axis in (left.yaxis, right.xaxis, right.yaxis):
        style.percent(axis)
    style.legend(figure, handles, [*names, "chance"])
    return figure
