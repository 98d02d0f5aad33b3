"""All figures of a model at once: of the ensemble, of each member, and between them."""

import math

import numpy as np
from scipy.special import softmax

from mixmo_tf.evaluation import calibration, diversity, predictions, scores, selective

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
    "disagreement": "share of examples on which exactly one of two members is right",
    "double_fault": "share of examples on which both of two members are wrong",
    "q_statistic": "Yule's Q of two members' being right",
    "correlation": "correlation of two members' being right",
    "pairwise_kl": "KL divergence between two members, nats",
    "mutual_information": "entropy of the members' mean minus their mean entropy, nats",
}


def report(member_logits, labels, ensemble="logits", held_out=None):
    """Judges an ensemble and its members.

    Args:
        member_logits: float (N, M, C).
        labels: int (N,).
        ensemble: "logits" or "probabilities", what the ensemble averages.
        held_out: (member_logits, labels) of other images, to fit the temperatures on; None to
            fit them on halves of these examples, each for the other.

    Returns:
        dict of floats by the names in `KEYS`, for the ensemble, and in `DIVERSITY_KEYS`, with
        two members or more; and of lists of the members' figures, by `member_` and the
        name. A figure that is not defined is None: an AUROC where all answers are right.

    Raises:
        ValueError: if a shape is wrong, a logit is NaN, or a label is out of range.
    """
    member_logits, labels = predictions.check_members(member_logits, labels)
    num_members = member_logits.shape[1]
    judged = _ensemble_and_members(member_logits, ensemble)
    temperatures = [None] * len(judged)
    if held_out is not None:
        held_out_logits, held_out_labels = predictions.check_members(*held_out)
        temperatures = [
            calibration.fit_temperature(logits, held_out_labels)
            for logits in _ensemble_and_members(held_out_logits, ensemble)
        ]
    figures, *of_members = [
        _figures(logits, labels, temperature) for logits, temperature in zip(judged, temperatures)
    ]
    for name in KEYS:
        figures[f"member_{name}"] = [member[name] for member in of_members]
    if num_members > 1:
        predicted = member_logits.argmax(axis=2)
        for measure in diversity.MEASURES:
            figures[measure] = getattr(diversity, measure)(predicted, labels)
        figures["pairwise_kl"] = diversity.pairwise_kl(member_logits)
        figures["mutual_information"] = diversity.mutual_information(member_logits)
    return {name: _defined(value) for name, value in figures.items()}


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


def _defined(value):
    if isinstance(value, list):
        return [_defined(each) for each in value]
    return None if math.isnan(value) else value
