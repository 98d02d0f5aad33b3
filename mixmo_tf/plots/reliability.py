"""Is confidence worth what it says? The reliability diagram, before and after temperature."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from mixmo_tf import arguments
from mixmo_tf.evaluation import calibration, predictions
from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    figure = style.figure(5.2, 6.2, title or "Reliability: are confident answers right as often?")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    (perfect,) = above.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1)
    handles, names = [perfect], ["confidence = accuracy"]
    edges = np.linspace(0, 1, num_bins + 1)
    for series, (name, probabilities) in enumerate(shown.items()):
        bins = calibration.reliability_bins(probabilities, labels, num_bins)
        counts, accuracy, confidence = bins
        filled = counts > 0
        look = colours.line_of(series)
        (line,) = above.plot(
            confidence[filled], accuracy[filled], marker="os"[series], markersize=4.5, **look
        )
        handles.append(line)
        names.append(f"{name}: ECE {calibration.ece(probabilities, labels, num_bins):.2%}")
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
