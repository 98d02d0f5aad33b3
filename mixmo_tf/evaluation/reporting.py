"""All metrics of a model at once: of the ensemble, of each member, and between them."""

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf import strict_json
from mixmo_tf.evaluation import calibration, predictions, scores
from mixmo_tf.evaluation.metrics import (
    BETWEEN,
    CALIBRATED,
    MEMBER,
    METRICS,
    OF_ONE,
    Calibrated,
    Record,
    undefined,
)


def report(
    member_logits: ArrayLike,
    labels: ArrayLike,
    ensemble: str = "logits",
    held_out: tuple[ArrayLike, ArrayLike] | None = None,
) -> dict:
    """Evaluates an ensemble and its members.

    Args:
        member_logits: float (N, M, C).
        labels: int (N,).
        ensemble: "logits" or "probabilities", what the ensemble averages.
        held_out: (member_logits, labels) of other images, to fit the temperatures on, with
            Jeffreys' prior where no answer to them is wrong, and to calibrate the conformal sets
            on. None to fit the temperatures on tenths of these examples,
            `calibration.cross_fitted`, and to leave the sets out.

    Returns:
        dict by the keys of `METRICS`, and with held-out images of `CALIBRATED`: floats for the
        ensemble; with two members or more, what is measured between them; and lists of the
        members' own, by `member_` and the key. A metric that is not defined, or infinite, is
        None, such as an AUROC where all answers are right; then "undefined" is a dict that says
        why, by key.

    Raises:
        ValueError: if a shape is wrong, a logit is not finite, or a label is out of range.
    """
    member_logits, labels = predictions.check_members(member_logits, labels)
    num_members = member_logits.shape[1]
    evaluated = _ensemble_and_members(member_logits, ensemble)
    others, other_labels = [None] * (1 + num_members), None
    if held_out is not None:
        other_logits, other_labels = _checked(held_out, member_logits.shape)
        others = _ensemble_and_members(other_logits, ensemble)
    metrics, *of_members = [
        _of_one(logits, labels, of_others, other_labels)
        for logits, of_others in zip(evaluated, others, strict=True)
    ]
    for key in list(metrics):
        metrics[MEMBER + key] = [member[key] for member in of_members]
    if num_members > 1:
        between = Record(member_logits.astype(np.float64), labels)
        metrics |= {key: METRICS[key].function(between) for key in BETWEEN}
    return explained(metrics)


def explained(metrics: dict) -> dict:
    """Metrics by key as they are kept: None where a number, or one of a list, is not finite.

    Then "undefined" is a dict of sentences, why that is so, by key.
    """
    metrics = strict_json.finite(metrics)
    reasons = metrics.get(strict_json.UNDEFINED, {})
    for name, reason in reasons.items():
        if reason == strict_json.NOT_A_NUMBER:
            reasons[name] = undefined(name) or reason
    return metrics


def _of_one(logits, labels, other_logits, other_labels):
    """The metrics of the ensemble, or of a member; the others are of held-out images, or None."""
    if other_logits is None:
        nllc, temperature = calibration.cross_fitted(logits, labels)
    else:
        jeffreys = scores.accuracy(other_logits, other_labels) == 1
        temperature = calibration.fit_temperature(other_logits, other_labels, jeffreys)
        nllc = scores.nll(logits / temperature, labels)
    record = Record(logits, labels, temperature, nllc)
    metrics = {key: METRICS[key].function(record) for key in OF_ONE}
    if other_logits is not None:
        both = Calibrated(record, Record(other_logits, other_labels))
        metrics |= {key: metric.function(both) for key, metric in CALIBRATED.items()}
    return metrics


def _checked(held_out, shape):
    """The logits and labels of held-out images, of the same members and classes."""
    try:
        member_logits, labels = held_out
    except (TypeError, ValueError):
        raise ValueError(
            f"held_out must be (member_logits, labels), got {type(held_out).__name__}"
        ) from None
    member_logits, labels = predictions.check_members(member_logits, labels, "held_out")
    if member_logits.shape[1:] != shape[1:]:
        raise ValueError(
            f"held_out must be logits (N, {shape[1]}, {shape[2]}), of the same members and "
            f"classes as member_logits, got {member_logits.shape}"
        )
    return member_logits, labels


def _ensemble_and_members(member_logits, ensemble):
    """Logits (N, C), the ensemble's, then each member's: one at a time, for they may be large."""
    yield predictions.ensemble_logits(member_logits, ensemble)
    for member in range(member_logits.shape[1]):
        yield member_logits[:, member].astype(np.float64)
