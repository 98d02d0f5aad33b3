"""The thresholds on confidence that an evaluation is asked for: found, checked, and in words."""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from mixmo_tf import evaluation
from mixmo_tf.experiments import images
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.of_flags import OfFlags

_TIMES = 1.5  # the wanted error: where the images allow more than this, they are too few


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


class Evidence(NamedTuple):
    """How well a threshold did on the held-out images that it was found on."""

    images: int
    answers: int  # how many reach the threshold
    errors: int  # how many of these are wrong

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: np.ndarray, threshold: float) -> "Evidence":
        """That of probabilities (N, C) and labels (N,)."""
        coverage, risk = evaluation.coverage_and_risk(probabilities, labels, threshold)
        answers = round(coverage * len(labels))
        return cls(len(labels), answers, round(risk * answers) if answers else 0)

    @property
    def risk_bound(self) -> float:
        """The error that they still allow, see `evaluation.risk_bound`."""
        return evaluation.risk_bound(self.answers, self.errors)

    def doubt(self, risk: float) -> str:
        """A line where they are too few to show an error of at most `risk`, else ""."""
        if not self.answers or self.risk_bound <= _TIMES * risk:
            return ""
        return (
            f"{self.images:,} held-out images are too few to show an error of at most "
            f"{100 * risk:g} %: {self.answers:,} of them reach the threshold and {self.errors:,} "
            f"of these are wrong, which still allows an error of {100 * self.risk_bound:.1f} % "
            "(upper bound at 95 % confidence); hold out more images, or ask for a larger error"
        )


def check(settings: OfAbstention, tested_on: images.Images, held_out: images.Images | None) -> None:
    """Raises ValueError if a threshold is wanted without held-out images to find it on."""
    for name in settings.wanted() if held_out is None else ():
        if tested_on.split == "validation":
            raise ValueError(
                f"abstain_{name} needs test images beside those held out: these, which the "
                f"threshold would be found on, are {tested_on.dataset}, validation; a folder with "
                "train/, val/ and test/ has both"
            )
        raise ValueError(
            f"abstain_{name} needs held-out images beside the test images, to find the threshold "
            "on: a run with --validation_examples, or on a folder with train/, val/ and test/"
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
        "held_out_risk", "coverage" and "risk", what it keeps; "held_out_examples"; and how many
        of these reach it, "held_out_answers", are wrong then, "held_out_errors", and the error
        that they still allow, "held_out_risk_bound".
    """
    thresholds = []
    for name, value in settings.wanted().items():
        here, there = ((softmax(logits, axis=1), labels) for logits, labels in (answers, held_out))
        threshold = evaluation.abstention_threshold(*there, **{name: value})
        evidence = Evidence.of(*there, threshold)
        kept = [evaluation.coverage_and_risk(*each, threshold) for each in (there, here)]
        thresholds.append({
            "wanted": name,
            "value": value,
            "threshold": threshold,
            "held_out_coverage": kept[0][0],
            "held_out_risk": kept[0][1],
            "coverage": kept[1][0],
            "risk": kept[1][1],
            "held_out_examples": evidence.images,
            "held_out_answers": evidence.answers,
            "held_out_errors": evidence.errors,
            "held_out_risk_bound": evidence.risk_bound,
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
    names = ("held_out_examples", "held_out_answers", "held_out_errors")
    evidence = Evidence(*(of_one[name] for name in names))
    doubt = evidence.doubt(of_one["value"]) if of_one["wanted"] == "risk" else ""
    return (
        f"For {what} {wanted}, answer where confidence is {of_one['threshold']:.4f} or more, "
        f"which was found on {on}. Of the images evaluated here, {answered:.2f} % are answered, "
        f"{wrong:.2f} % of these wrongly.{f' {doubt}.' if doubt else ''}"
    )
