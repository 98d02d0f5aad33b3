"""METRICS: every metric once, with its title, its meaning, its function and how it is written.

`report`, metrics.json, tables, pictures and the README follow from it: to add a metric, write its
function and its line here; in CALIBRATED, if it needs held-out images.
"""

import dataclasses
import functools
import statistics
from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from mixmo_tf import strict_json
from mixmo_tf.evaluation import (
    calibration,
    classwise,
    conformal,
    diversity,
    information,
    scores,
    selective,
)

MEMBER = "member_"  # before a key: the list of the members' own
_PERCENT, _TWO_DIGITS = ".2%", ".2f"
_ONE_EXAMPLE = "one example cannot be evaluated at the temperature of others"
_NO_PAIR = "of each pair, a member is always right, or always wrong"


@dataclasses.dataclass(frozen=True)
class Record:
    """The answers that a metric is computed from: a model's, a member's, or all members'."""

    logits: np.ndarray  # float64 (N, C); (N, M, C) for what is measured between members
    labels: np.ndarray  # int (N,)
    temperature: float | None = None  # None between members
    nllc: float | None = None  # NLL at temperatures that were fitted on other images

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """The softmax of the logits."""
        return softmax(self.logits, axis=-1)

    @property
    def predicted(self) -> np.ndarray:
        """The classes, int (N,), or (N, M)."""
        return self.logits.argmax(axis=-1)


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A Record, and the same model's answers to held-out images."""

    record: Record
    held_out: Record

    @functools.cached_property
    def aps(self) -> tuple[float, float]:
        """Coverage and size of the APS sets."""
        return self._sets("aps")

    @functools.cached_property
    def raps(self) -> tuple[float, float]:
        """Coverage and size of the RAPS sets."""
        return self._sets("raps")

    def _sets(self, method):
        of_both = [(each.probabilities, each.labels) for each in (self.record, self.held_out)]
        threshold = conformal.threshold(*of_both[1], method=method)
        return conformal.coverage_and_size(*of_both[0], threshold, method)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A line of `METRICS` or `CALIBRATED`."""

    title: str | None  # in tables; None for what metrics.json alone holds
    meaning: str
    function: Callable[[Record], float | list]  # in CALIBRATED, of a Calibrated
    form: str = ".4f"  # as `format` takes it; what ends with % is written in per cent
    undefined: str = strict_json.NOT_A_NUMBER  # what it means that it is NaN
    between: bool = False  # whether it is measured between members
    side_by_side: bool = False  # whether a table of several models has it
    pooled: Callable[[list], float | None] | None = None  # of several runs, instead of their mean


METRICS = {
    "accuracy": Metric(
        "accuracy", "top-1 accuracy",
        lambda r: scores.accuracy(r.logits, r.labels), _PERCENT, side_by_side=True),
    "top5_accuracy": Metric(
        "top-5", "top-5 accuracy",
        lambda r: scores.top_k_accuracy(r.logits, r.labels, 5), _PERCENT, side_by_side=True),
    "balanced_accuracy": Metric(
        "balanced accuracy", "mean over the classes of the accuracy on each one's images",
        lambda r: classwise.balanced_accuracy(r.logits, r.labels), _PERCENT),
    "nll": Metric(
        "NLL", "negative log-likelihood, nats",
        lambda r: scores.nll(r.logits, r.labels), side_by_side=True),
    "nllc": Metric(
        "NLLc", "negative log-likelihood after temperature scaling, nats",
        lambda r: r.nllc, undefined=_ONE_EXAMPLE, side_by_side=True),
    "temperature": Metric(
        "temperature", "the temperature that nllc is computed at",
        lambda r: r.temperature, undefined=_ONE_EXAMPLE),
    "brier": Metric(
        "Brier", "Brier score, summed over the classes",
        lambda r: scores.brier(r.probabilities, r.labels), side_by_side=True),
    "brier_mean_over_classes": Metric(
        "Brier / C", "Brier score divided by C, as the published code has it",
        lambda r: scores.brier(r.probabilities, r.labels) / r.logits.shape[1]),
    "ece": Metric(
        "ECE", "expected calibration error, 15 bins of equal width",
        lambda r: calibration.ece(r.probabilities, r.labels), side_by_side=True),
    "adaptive_ece": Metric(
        "adaptive ECE", "expected calibration error, 15 bins of equal count",
        lambda r: calibration.adaptive_ece(r.probabilities, r.labels)),
    "tace": Metric(
        "TACE", "thresholded adaptive calibration error, 15 bins, probabilities > 1e-3",
        lambda r: calibration.tace(r.probabilities, r.labels), side_by_side=True),
    "classwise_ece": Metric(
        "classwise ECE", "mean over the classes of the ECE of each class' probability",
        lambda r: classwise.classwise_ece(r.probabilities, r.labels)),
    "misclassification_auroc": Metric(
        "AUROC", "AUROC of the confidence for telling right answers from wrong ones",
        lambda r: selective.misclassification_auroc(r.probabilities, r.labels),
        undefined="all answers are right, or all are wrong", side_by_side=True),
    "aurc": Metric(
        "AURC", "area under the risk-coverage curve: the mean of the selective risks",
        lambda r: selective.aurc(r.probabilities, r.labels), side_by_side=True),
    "eaurc": Metric(
        "E-AURC", "AURC minus the AURC that the best order with as many errors has",
        lambda r: selective.eaurc(r.probabilities, r.labels)),
    "augrc": Metric(
        "AUGRC", "area under the generalised risk over coverage, by trapezoids from (0, 0)",
        lambda r: selective.augrc(r.probabilities, r.labels)),
    "coverage_at_5_risk": Metric(
        "coverage at 5 % risk", "largest coverage with an error of at most 5 %",
        lambda r: selective.coverage_at_risk(r.probabilities, r.labels), _PERCENT),
    "risk_at_80_coverage": Metric(
        "risk at 80 % coverage", "error among the 80 % of the answers that are most confident",
        lambda r: selective.risk_at_coverage(r.probabilities, r.labels), _PERCENT),
    "ratio_error": Metric(
        "ratio-error", "examples that exactly one of two members gets wrong, over those that both "
        "get wrong",
        lambda r: diversity.ratio_error(r.predicted, r.labels), _TWO_DIGITS, between=True,
        undefined="on no example are both of two members wrong", side_by_side=True,
        pooled=diversity.pooled_ratio_error),
    "ratio_error_published": Metric(
        "ratio-error, published code's",
        "the ratio-error, with the published code's value if no error is shared",
        lambda r: diversity.ratio_error_published(r.predicted, r.labels), _TWO_DIGITS,
        between=True),
    "disagreement": Metric(
        "disagreement", "share of examples on which two members predict different classes",
        lambda r: diversity.disagreement(r.predicted, r.labels), _PERCENT, between=True),
    "error_disagreement": Metric(
        "disagreement in being right",
        "share of examples on which exactly one of two members is right",
        lambda r: diversity.error_disagreement(r.predicted, r.labels), _PERCENT, between=True),
    "double_fault": Metric(
        "double fault", "share of examples on which both of two members are wrong",
        lambda r: diversity.double_fault(r.predicted, r.labels), _PERCENT, between=True),
    "q_statistic": Metric(
        "Q-statistic", "Yule's Q of two members being right",
        lambda r: diversity.q_statistic(r.predicted, r.labels), between=True, undefined=_NO_PAIR),
    "correlation": Metric(
        "correlation", "correlation between two members being right",
        lambda r: diversity.correlation(r.predicted, r.labels), between=True, undefined=_NO_PAIR),
    "pairwise_kl": Metric(
        "pairwise KL", "KL divergence between two members, nats",
        lambda r: information.pairwise_kl(r.logits), between=True),
    "aleatoric_entropy": Metric(
        "aleatoric entropy", "mean entropy of the members, nats: what they all are unsure of",
        lambda r: information.entropy_split(r.logits)[0].mean().item(), between=True),
    "mutual_information": Metric(
        "mutual information",
        "entropy of the members' mean minus their mean entropy, nats: how much they "
        "differ, the epistemic part",
        lambda r: information.mutual_information(r.logits), between=True),
    # lists, the pairs of members in the order (0, 1), (0, 2), …, (1, 2), …
    "both_wrong": Metric(
        None, "for each pair of members, the number of examples on which both are wrong",
        lambda r: diversity.error_counts(r.predicted, r.labels)[0].tolist(), between=True),
    "one_wrong": Metric(
        None, "for each pair of members, the number of examples on which exactly one is "
        "wrong",
        lambda r: diversity.error_counts(r.predicted, r.labels)[1].tolist(), between=True),
}  # fmt: skip
CALIBRATED = {  # with held-out images alone
    "aps_coverage": Metric(
        "APS coverage", "share of the images whose APS set holds the label, to be 90 %",
        lambda c: c.aps[0], _PERCENT),
    "aps_size": Metric(
        "APS size", "mean number of classes in an APS set", lambda c: c.aps[1], _TWO_DIGITS),
    "raps_coverage": Metric(
        "RAPS coverage", "share of the images whose RAPS set holds the label, to be 90 %",
        lambda c: c.raps[0], _PERCENT),
    "raps_size": Metric(
        "RAPS size", "mean number of classes in a RAPS set", lambda c: c.raps[1], _TWO_DIGITS),
}  # fmt: skip
_ALL = METRICS | CALIBRATED
OF_ONE = [key for key, metric in METRICS.items() if not metric.between]  # also of each member
BETWEEN = [key for key, metric in METRICS.items() if metric.between]
SIDE_BY_SIDE = [key for key, metric in METRICS.items() if metric.side_by_side]


def undefined(key: str) -> str | None:
    """What it means that a metric is NaN; None where the key is none of this package's."""
    key = key.removeprefix(MEMBER)
    return _ALL[key].undefined if key in _ALL else classwise.UNDEFINED.get(key)


def heading(key: str) -> str:
    """How a metric is called in tables and pictures, such as "accuracy, %"."""
    metric = _of(key)
    whose = "members' " if key.startswith(MEMBER) else ""
    return whose + metric.title + (", %" if metric.form.endswith("%") else "")


def meaning(key: str) -> str:
    """What a metric is, or that of a member, in a few words."""
    return _of(key).meaning


def written(key: str, value: float | None, deviation: float | None = None) -> str:
    """A value, or None for –, as it is written in tables; and ± its deviation, unless None."""
    if value is None:
        return "–"
    form = _of(key).form
    values = [value] if deviation is None else [value, deviation]
    return " ± ".join(format(each, form).rstrip("%") for each in values)


def over_runs(runs: list[dict], key: str) -> tuple[float | None, float | None]:
    """The mean of a metric over several runs, and its standard deviation.

    Args:
        runs: list of dicts as `report` gives them.
        key: of `METRICS`; with `member_`, each run counts with the mean over its members.

    Returns:
        float and float. None and None where a run does not define it; the deviation alone is
        None with one run, and for a metric that is `pooled` over the runs instead.
    """
    metric = _of(key)
    if metric.pooled:
        return metric.pooled(runs), None
    values = [run.get(key) for run in runs]
    if not values or None in values:
        return None, None
    if key.startswith(MEMBER):
        values = list(map(statistics.mean, values))
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def _of(key):
    """The Metric, or that of a member's."""
    return _ALL[key.removeprefix(MEMBER)]
