"""Is confidence worth what it says? The reliability diagram, before and after temperature."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from mixmo_tf import arguments
from mixmo_tf.evaluation import calibration, predictions
from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "osD^v"


def reliability_diagram(
    logits: ArrayLike,
    labels: ArrayLike,
    temperature: float | None = None,
    num_bins: int = calibration.NUM_BINS,
    title: str | None = None,
) -> "Figure":
    """The accuracy in each bin of confidence, the number of answers in it, and the ECE.

    Args:
        logits: float (N, C), an ensemble's or a member's.
        labels: int (N,).
        temperature: float > 0, to show logits / temperature too; None to leave that out.
        num_bins: int >= 1, of equal width, as `evaluation.ece` has them.
        title: str; what the picture shows if None.

    Returns:
        Figure; a dot is a bin, at the mean confidence and the accuracy of its answers.

    Raises:
        ValueError: if the shapes disagree, or an argument is out of range.
    """
    logits, labels = predictions.check(logits, labels, "logits")
    shown = {"as it is": softmax(logits, axis=1)}
    if temperature is not None:
        arguments.above("temperature", temperature, 0)
        shown[f"at temperature {temperature:.3g}"] = softmax(logits / temperature, axis=1)
    of_each = {
        name: calibration.reliability_bins(probabilities, labels, num_bins)
        for name, probabilities in shown.items()
    }
    return reliability_of_bins(of_each, title)


def reliability_of_bins(
    bins: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]],
    title: str | None = None,
    with_members: bool = False,
) -> "Figure":
    """The same of what was counted before, such as an ensemble's answers and its members'.

    Args:
        bins: by the name of each, counts, accuracy and confidence, (num_bins,) each, as
            `evaluation.reliability_bins` gives them.
        title: str; what the picture shows if None.
        with_members: bool, whether the first is an ensemble, and the others are its members, which
            have their colours.

    Returns:
        Figure, as `reliability_diagram` gives it; the counts of the first are filled.

    Raises:
        ValueError: if there is nothing to show.
    """
    if not bins:
        raise ValueError("bins must have an entry at least, got none")
    figure = style.figure(5.2, 6.2, title or "Reliability: are confident answers right as often?")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    (perfect,) = above.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1)
    handles, names = [perfect], ["confidence = accuracy"]
    for series, (name, of_name) in enumerate(bins.items()):
        counts, accuracy, confidence = map(np.asarray, of_name)
        num_bins, filled = len(counts), counts > 0
        edges = np.linspace(0, 1, num_bins + 1)
        look = colours.line_of(series)
        if with_members:
            look["color"] = colours.of_member(series - 1) if series else style.INK
        (line,) = above.plot(
            confidence[filled], accuracy[filled], marker=_MARKERS[series % len(_MARKERS)],
            markersize=4.5, **look,
        )  # fmt: skip
        gaps = counts[filled] * np.abs(accuracy[filled] - confidence[filled])
        handles.append(line)
        names.append(f"{name}: ECE {gaps.sum() / max(counts.sum(), 1):.2%}")
        below.stairs(counts, edges, fill=series == 0, alpha=0.45 if series == 0 else 1, **look)
        if series == 0:
            below.stairs(counts, edges, **look)
    above.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    below.set_ylim(bottom=0)
    style.plain(above, y="accuracy", grid="both")
    style.plain(below, f"confidence, in {num_bins} bins", "answers")
    style.percent(above.yaxis)
    style.percent(above.xaxis)
    style.legend(figure, handles, names)
    return figure
