"""How good a model is, how far it can be trusted, and how its members work together.

`report` gives every metric at once from members' logits and labels; each is a function of
arrays besides, and a Keras metric where it adds up over batches.
"""

from mixmo_tf.evaluation import conformal, decision
from mixmo_tf.evaluation.abstention import abstention_threshold, coverage_and_risk, risk_bound
from mixmo_tf.evaluation.calibration import (
    adaptive_ece,
    ece,
    fit_temperature,
    reliability_bins,
    tace,
)
from mixmo_tf.evaluation.classwise import balanced_accuracy, classwise_ece, per_class
from mixmo_tf.evaluation.comparison import paired
from mixmo_tf.evaluation.diversity import (
    MEASURES,
    PairwiseDiversity,
    correlation,
    disagreement,
    double_fault,
    error_counts,
    error_disagreement,
    pairwise,
    pooled_ratio_error,
    q_statistic,
    ratio_error,
    ratio_error_published,
)
from mixmo_tf.evaluation.inference import predict
from mixmo_tf.evaluation.information import entropy_split, mutual_information, pairwise_kl
from mixmo_tf.evaluation.memory_split import encoder_norms, split_score
from mixmo_tf.evaluation.metrics import CALIBRATED, METRICS, over_runs
from mixmo_tf.evaluation.metrics_json import read_metrics
from mixmo_tf.evaluation.out_of_distribution import ood, ood_roc, ood_scores
from mixmo_tf.evaluation.predictions import ensemble_logits
from mixmo_tf.evaluation.reporting import report
from mixmo_tf.evaluation.scores import accuracy, brier, nll, top_k_accuracy
from mixmo_tf.evaluation.selective import (
    augrc,
    aurc,
    coverage_at_risk,
    eaurc,
    misclassification_auroc,
    risk_at_coverage,
    risk_coverage,
)
from mixmo_tf.evaluation.streaming import (
    Brier,
    ExpectedCalibrationError,
    MutualInformation,
    PairwiseKL,
)

__all__ = [
    "CALIBRATED",
    "MEASURES",
    "METRICS",
    "Brier",
    "ExpectedCalibrationError",
    "MutualInformation",
    "PairwiseDiversity",
    "PairwiseKL",
    "abstention_threshold",
    "accuracy",
    "adaptive_ece",
    "augrc",
    "aurc",
    "balanced_accuracy",
    "brier",
    "classwise_ece",
    "conformal",
    "correlation",
    "coverage_and_risk",
    "coverage_at_risk",
    "decision",
    "disagreement",
    "double_fault",
    "eaurc",
    "ece",
    "encoder_norms",
    "ensemble_logits",
    "entropy_split",
    "error_counts",
    "error_disagreement",
    "fit_temperature",
    "misclassification_auroc",
    "mutual_information",
    "nll",
    "ood",
    "ood_roc",
    "ood_scores",
    "over_runs",
    "paired",
    "pairwise",
    "pairwise_kl",
    "per_class",
    "pooled_ratio_error",
    "predict",
    "q_statistic",
    "ratio_error",
    "ratio_error_published",
    "read_metrics",
    "reliability_bins",
    "report",
    "risk_at_coverage",
    "risk_bound",
    "risk_coverage",
    "split_score",
    "tace",
    "top_k_accuracy",
]
