"""The thresholds on confidence that an evaluation is asked for: found, checked, and in words."""

import dataclasses

import numpy as np
from scipy.special import softmax

from mixmo_tf import evaluation
from mixmo_tf.experiments import images
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.of_flags import OfFlags


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfAbstention(OfFlags):
    """What the answers must keep; where nothing is set, no threshold is looked for."""

    abstain_risk: float | None = setting(
        None,
        "Find, on held-out images, the threshold on the confidence at which at most this share of "
        "the answers is wrong, such as 0.05; then check it on the images that are evaluated.",
        bounds=(0, 1),
    )
    abstain_coverage: float | None = setting(
        None,
        "Find, on held-out images, the threshold on the confidence at which at least this share "
        "of the images is answered, such as 0.9; then check it on the images that are evaluated.",
        bounds=(0, 1),
    )

    def wanted(self) -> dict[str, float]:
        """What thresholds are wanted for, a dict of "risk" and "coverage"."""
        both = {"risk": self.abstain_risk, "coverage": self.abstain_coverage}
        return {name: value for name, value in both.items() if value is not None}


def check(settings: OfAbstention, tested_on: images.Images, held_out: images.Images | None) -> None:
    """Raises ValueError if a threshold is wanted without held-out images to find it on."""
    for name in settings.wanted() if held_out is None else ():
        if tested_on.split == "validation":
            raise ValueError(
                f"abstain_{name} needs test images beside those held out: these, which the "
                f"threshold would be found on, are {tested_on.dataset}, validation"
            )
        raise ValueError(
            f"abstain_{name} needs held-out images beside the test images, to find the threshold "
            "on: a run with --validation_examples, or a folder with val and test"
        )


def found(
    settings: OfAbstention,
    answers: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray] | None,
) -> list[dict]:
    """The thresholds, and what they keep.

    Args:
        answers: the ensemble's logits, float (N, C), and the labels, int (N,).
        held_out: those of the held-out images; None only where no threshold is wanted.

    Returns:
        list of dict: "wanted", "risk" or "coverage", and its "value"; the "threshold" that the
        largest probability must reach, infinite where none does it; "held_out_coverage",
        "held_out_risk", "coverage" and "risk", what it keeps; and "held_out_examples".
    """
    thresholds = []
    for name, value in settings.wanted().items():
        here, there = ((softmax(logits, axis=1), labels) for logits, labels in (answers, held_out))
        threshold = evaluation.abstention_threshold(*there, **{name: value})
        kept = [evaluation.coverage_and_risk(*each, threshold) for each in (there, here)]
        thresholds.append({
            "wanted": name,
            "value": value,
            "threshold": threshold,
            "held_out_coverage": kept[0][0],
            "held_out_risk": kept[0][1],
            "coverage": kept[1][0],
            "risk": kept[1][1],
            "held_out_examples": len(there[1]),
        })  # fmt: skip
    return thresholds


def in_words(of_one: dict) -> str:
    """A line for one of `found`."""
    wanted = f"{100 * of_one['value']:g} %"
    on = f"{of_one['held_out_examples']:,} validation images"
    if np.isinf(of_one["threshold"]):
        return f"No threshold on confidence keeps an error of at most {wanted} on {on}."
    what = "an error of at most" if of_one["wanted"] == "risk" else "a coverage of at least"
    answered, wrong = 100 * of_one["coverage"], 100 * of_one["risk"]
    return (
        f"For {what} {wanted}, answer where confidence is {of_one['threshold']:.4f} or more, "
        f"which was found on {on}. Of the images evaluated here, {answered:.2f} % are answered, "
        f"{wrong:.2f} % of these wrongly."
    )
