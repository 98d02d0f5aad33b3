"""Several models beside each other: pictures, and the images that they differ on."""

from collections.abc import Callable, Sequence

import numpy as np

from mixmo_tf import plots
from mixmo_tf.evaluation.metrics import heading, written
from mixmo_tf.experiments.page import gallery
from mixmo_tf.experiments.page.answers_of import Answers
from mixmo_tf.experiments.page.blocks import Gallery, Part, Words
from mixmo_tf.experiments.page.drawings import MOST_CURVES
from mixmo_tf.experiments.page.svg import drawing

_COMPARED = {key: heading(key) for key in ("accuracy", "nll", "ece", "aurc")}


def parts(of_all: Sequence[Answers], pixels_of: Callable | None) -> list[Part]:
    """The parts of a page that compare two models or more; for `pixels_of` see `gallery.parts`."""
    drawn = [Part(each.title, [each]) for each in _pictures(of_all)]
    return [*drawn, _between(of_all, pixels_of)]


def _pictures(of_all):
    """The pictures of several models together."""
    few = of_all[:MOST_CURVES]
    runs = {each.name: [each.of.metrics] for each in of_all}
    curves = {each.name: each.probabilities for each in few}
    labels = of_all[0].of.labels
    best = max(of_all, key=lambda each: each.of.metrics["accuracy"])
    surest = min(few, key=lambda each: each.of.metrics["aurc"])
    of_best = f"{best.name} is most accurate with {100 * best.of.metrics['accuracy']:.2f} %"
    return [
        drawing(
            plots.methods_side_by_side(runs, _COMPARED),
            "Models side by side",
            f"Accuracy, NLL, ECE and AURC of {len(of_all)} models: {of_best}.",
            "A line is a model: of accuracy more is better, of NLL, ECE and AURC less.",
        ),
        drawing(
            plots.risk_coverage_curve(curves, labels, ()),
            "Risk and coverage of the models",
            f"Risk-coverage curves of {len(few)} models: {surest.name} has the least AURC, "
            f"{written('aurc', surest.of.metrics['aurc'])}.",
            "The lower a curve, the fewer errors are left when a model answers only that share of "
            "the images about which it is most confident.",
        ),
    ]


def _between(of_all, pixels_of):
    """The images on which models differ most, with what each says."""
    together = np.stack([each.logits for each in of_all], axis=1)
    logits = together.astype(np.float32)
    indices = gallery.most_different(together, gallery.MOST)
    title = "Where the models differ most"
    if not len(indices):
        return Part(title, [Words(["The models say the same of every image."])])
    first = of_all[0].of
    joint = Answers(first._replace(member_logits=logits, files=[None] * len(of_all)), "all")
    images = gallery.shown(joint, indices, pixels_of and pixels_of(indices))
    numbered = ", ".join(f"{i} is {each.name}" for i, each in enumerate(of_all))
    reading = (
        "The images on which what the models say differs most, by mutual information; the answer "
        f"is that of their mean, and behind the label stands its probability there. Of the models, "
        f"{numbered}."
    )
    return Part(title, [Words([reading]), Gallery(images)])
