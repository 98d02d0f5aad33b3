"""All metrics of a model at once: of the ensemble, of each member, and between them."""

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf import strict_json
from mixmo_tf.evaluation import calibration, predictions, scores
from mixmo_tf.evaluation.metrics import BETWEEN, MEMBER, METRICS, OF_ONE, Record


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
        held_out: (member_logits, labels) of other images, to fit the temperatures on; with
            Jeffreys' prior where no answer to them is wrong. None to fit them on tenths of these
            examples: `calibration.cross_fitted`.

    Returns:
        dict by the keys of `METRICS`: floats for the ensemble; with two members or more, what is
        measured between them; and lists of the members' own, by `member_` and the key. A metric
        that is not defined, or infinite, is None, such as an AUROC where all answers are right;
        then "undefined" is a dict that says why, by key.

    Raises:
        ValueError: if a shape is wrong, a logit is not finite, or a label is out of range.
    """
    member_logits, labels = predictions.check_members(member_logits, labels)
    num_members = member_logits.shape[1]
    evaluated = _ensemble_and_members(member_logits, ensemble)
    temperatures = [None] * len(evaluated)
    if held_out is not None:
        temperatures = _held_out_temperatures(held_out, member_logits.shape, ensemble)
    metrics, *of_members = [
        _of_record(_record(logits, labels, temperature), OF_ONE)
        for logits, temperature in zip(evaluated, temperatures, strict=True)
    ]
    for key in OF_ONE:
        metrics[MEMBER + key] = [member[key] for member in of_members]
    if num_members > 1:
        metrics |= _of_record(Record(member_logits.astype(np.float64), labels), BETWEEN)
    return explained(metrics)


def explained(metrics: dict) -> dict:
    """Metrics as they are kept: None where they are not finite, with the reasons, by key.

    Args:
        metrics: dict of numbers, or lists of them, by key.

    Returns:
        dict; with "undefined", a dict of sentences, if there is a reason.
    """
    metrics = strict_json.finite(metrics)
    reasons = metrics.get(strict_json.UNDEFINED, {})
    for name, reason in reasons.items():
        key = name.removeprefix(MEMBER)
        if reason == strict_json.NOT_A_NUMBER and key in METRICS:
            reasons[name] = METRICS[key].undefined
    return metrics


def _record(logits, labels, temperature):
    """The Record of logits (N, C); without a temperature, it is fitted on tenths of them."""
    if temperature is None:
        nllc, temperature = calibration.cross_fitted(logits, labels)
    else:
        nllc = scores.nll(logits / temperature, labels)
    return Record(logits, labels, temperature, nllc)


def _of_record(record, keys):
    return {key: METRICS[key].function(record) for key in keys}


def _held_out_temperatures(held_out, shape, ensemble):
    """The temperatures of the ensemble and of each member, fitted on other images."""
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
    return [
        calibration.fit_temperature(logits, labels, jeffreys=scores.accuracy(logits, labels) == 1)
        for logits in _ensemble_and_members(member_logits, ensemble)
    ]


def _ensemble_and_members(member_logits, ensemble):
    """Logits (N, C): the ensemble's, and each member's."""
    members = np.moveaxis(member_logits.astype(np.float64), 1, 0)
    return [predictions.ensemble_logits(member_logits, ensemble), *members]
