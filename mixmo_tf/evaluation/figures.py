"""All figures of a model at once: of the ensemble, of each member, and between them."""

import numpy as np
from scipy.special import softmax

from mixmo_tf import strict_json
from mixmo_tf.evaluation import (
    calibration,
    diversity,
    information,
    predictions,
    scores,
    selective,
)

KEYS = {  # what each figure is; docs and tables follow it
    "accuracy": "top-1 accuracy",
    "top5_accuracy": "top-5 accuracy",
    "nll": "negative log-likelihood, nats",
    "nllc": "the same after temperature scaling",
    "temperature": "the temperature of nllc",
    "brier": "Brier score, summed over the classes",
    "brier_mean_over_classes": "Brier score as the published code has it, divided by C",
    "ece": "expected calibration error, 15 bins of equal width",
    "adaptive_ece": "the same, 15 bins of equal count",
    "tace": "thresholded adaptive calibration error, 15 bins, probabilities > 1e-3",
    "misclassification_auroc": "AUROC of confidence against being right",
    "aurc": "area under the risk-coverage curve",
    "coverage_at_5_risk": "largest coverage with an error of at most 5 %",
}
DIVERSITY_KEYS = {
    "ratio_error": "errors of exactly one of two members over errors of both",
    "ratio_error_published": "the same, as the published code has it where no error is shared",
    "disagreement": "share of examples on which two members predict different classes",
    "error_disagreement": "share of examples on which exactly one of two members is right",
    "double_fault": "share of examples on which both of two members are wrong",
    "q_statistic": "Yule's Q of two members' being right",
    "correlation": "correlation of two members' being right",
    "pairwise_kl": "KL divergence between two members, nats",
    "mutual_information": "entropy of the members' mean minus their mean entropy, nats",
}

PAIR_KEYS = {  # lists, the pairs of members in the order (0, 1), (0, 2), …, (1, 2), …
    "both_wrong": "of each pair of members, on how many examples both are wrong",
    "one_wrong": "of each pair of members, on how many examples exactly one is wrong",
}
WHY_UNDEFINED = {
    "nllc": "one example cannot be judged at the temperature of others",
    "temperature": "one example cannot be judged at the temperature of others",
    "misclassification_auroc": "all answers are right, or all are wrong",
    "ratio_error": "on no example are both of two members wrong",
    "q_statistic": "of each pair, a member is always right, or always wrong",
    "correlation": "of each pair, a member is always right, or always wrong",
}


def report(member_logits, labels, ensemble="logits", held_out=None):
    """Judges an ensemble and its members.

    Args:
        member_logits: float (N, M, C).
        labels: int (N,).
        ensemble: "logits" or "probabilities", what the ensemble averages.
        held_out: (member_logits, labels) of other images, to fit the temperatures on; with
            Jeffreys' prior where no answer to them is wrong. None to fit them on tenths of these
            examples: `calibration.cross_fitted`.

    Returns:
        dict of floats by the names in `KEYS`, for the ensemble, and in `DIVERSITY_KEYS`, with
        two members or more; of lists of the members' figures, by `member_` and the name; and of
        lists of int by the names in `PAIR_KEYS`. A figure that is not defined, or infinite, is
        None, such as an AUROC where all answers are right; then "undefined" is a dict that says
        why, by name.

    Raises:
        ValueError: if a shape is wrong, a logit is not finite, or a label is out of range.
    """
    member_logits, labels = predictions.check_members(member_logits, labels)
    num_members = member_logits.shape[1]
    judged = _ensemble_and_members(member_logits, ensemble)
    temperatures = [None] * len(judged)
    if held_out is not None:
        temperatures = _held_out_temperatures(held_out, member_logits.shape, ensemble)
    figures, *of_members = [
        _figures(logits, labels, temperature)
        for logits, temperature in zip(judged, temperatures, strict=True)
    ]
    for name in KEYS:
        figures[f"member_{name}"] = [member[name] for member in of_members]
    if num_members > 1:
        predicted = member_logits.argmax(axis=2)
        for measure in diversity.MEASURES:
            figures[measure] = getattr(diversity, measure)(predicted, labels)
        figures["pairwise_kl"] = information.pairwise_kl(member_logits)
        figures["mutual_information"] = information.mutual_information(member_logits)
        for name, counts in zip(PAIR_KEYS, diversity.error_counts(predicted, labels), strict=True):
            figures[name] = counts.tolist()
    return explained(figures)


def explained(figures):
    """Figures as they are kept: None where they are not finite, with the reasons, by name.

    Args:
        figures: dict of numbers, or lists of them, by name.

    Returns:
        dict; with "undefined", a dict of sentences, if there is a reason.
    """
    figures = strict_json.finite(figures)
    for name, reason in figures.get(strict_json.UNDEFINED, {}).items():
        if reason == strict_json.NOT_A_NUMBER:
            sentence = WHY_UNDEFINED.get(name.removeprefix("member_"), reason)
            figures[strict_json.UNDEFINED][name] = sentence
    return figures


def pooled_ratio_error(runs):
    """The ratio-error of several runs as one: each pair's errors are added up over the runs.

    A mean of their ratios would rest on the runs that share the fewest errors.

    Args:
        runs: list of dicts with the lists that `PAIR_KEYS` names, as `report` gives them.

    Returns:
        float, the mean over the pairs that share an error; None if none does, or a run does not
        tell its counts.
    """
    counts = [[run.get(name) or [] for run in runs] for name in PAIR_KEYS]
    num_pairs = {len(of_run) for of_runs in counts for of_run in of_runs}
    if len(num_pairs) != 1 or num_pairs == {0}:
        return None
    both, one = (np.sum(of_runs, axis=0) for of_runs in counts)
    return float(np.mean(one[both > 0] / both[both > 0])) if both.any() else None


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


def _figures(logits, labels, temperature):
    """The figures of one set of logits (N, C), by the names in `KEYS`."""
    if temperature is None:
        nllc, temperature = calibration.cross_fitted(logits, labels)
    else:
        nllc = scores.nll(logits / temperature, labels)
    probabilities = softmax(logits, axis=1)
    brier = scores.brier(probabilities, labels)
    return {
        "accuracy": scores.accuracy(logits, labels),
        "top5_accuracy": scores.top_k_accuracy(logits, labels, 5),
        "nll": scores.nll(logits, labels),
        "nllc": nllc,
        "temperature": temperature,
        "brier": brier,
        "brier_mean_over_classes": brier / logits.shape[1],
        "ece": calibration.ece(probabilities, labels),
        "adaptive_ece": calibration.adaptive_ece(probabilities, labels),
        "tace": calibration.tace(probabilities, labels),
        "misclassification_auroc": selective.misclassification_auroc(probabilities, labels),
        "aurc": selective.aurc(probabilities, labels),
        "coverage_at_5_risk": selective.coverage_at_risk(probabilities, labels),
    }
