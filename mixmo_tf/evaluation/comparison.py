"""Is one model better than another, or luckier? Tests of two models on the same images.

Both see the same images, so the images on which they differ tell, not the two results on their
own: McNemar 1947 for the accuracies, a bootstrap over the images for the NLL (Efron and
Tibshirani 1993).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions

LEVEL = 0.95
RESAMPLES = 10_000
_AT_ONCE = 2**22  # draws


def paired(
    logits: ArrayLike,
    other_logits: ArrayLike,
    labels: ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, int | float]:
    """Tests a model against another on the same images, which are the same rows of both.

    Args:
        logits: float (N, C), an ensemble's, such as `ensemble_logits` gives them.
        other_logits: float (N, C), the other model's.
        labels: int (N,).
        level: float in (0, 1), of the interval.
        resamples: int >= 2, sets of N images drawn from these with replacement.
        seed: int >= 0, of these.

    Returns:
        dict:
        - "only_this_right", "only_other_right": int, on how many images.
        - "accuracy_difference": float, this one's minus the other's.
        - "mcnemar_p": float in (0, 1], the p-value of McNemar's exact test, two-sided: the
          chance that images on which one alone is right are divided as unevenly, or more, where
          the models are equally good. It is of the binomial distribution, with neither χ² nor
          its continuity correction.
        - "nll_difference": float, nats, this one's minus the other's: below 0, this one's is
          better.
        - "nll_difference_low", "nll_difference_high": float, the ends of its percentile
          bootstrap interval; where 0 lies outside, the images tell the models apart. NaN with
          one image.

    Raises:
        ValueError: if the shapes disagree, a label or an argument is out of range, or the NLL of
            an image is infinite.
    """
    arguments.above("level", level, 0)
    if level >= 1:
        raise ValueError(f"level must be < 1, got {level}")
    arguments.count("resamples", resamples, 2)
    arguments.count("seed", seed, 0)
    logits, labels = predictions.check(logits, labels, "logits")
    other_logits, _ = predictions.check(other_logits, labels, "other_logits")
    if logits.shape != other_logits.shape:
        raise ValueError(f"other_logits must be {logits.shape}, got {other_logits.shape}")
    from scipy import stats  # imported here: it takes a third of a second

    this, other = (each.argmax(axis=1) == labels for each in (logits, other_logits))
    only_this, only_other = int(np.sum(this & ~other)), int(np.sum(other & ~this))
    differ = only_this + only_other
    nll, other_nll = _nll(logits, labels, "logits"), _nll(other_logits, labels, "other_logits")
    differences = np.sort(nll - other_nll)  # in any order
    low, high = _interval(differences, level, resamples, seed)
    p_value = stats.binomtest(only_this, differ).pvalue if differ else 1.0
    return {
        "only_this_right": only_this,
        "only_other_right": only_other,
        "accuracy_difference": (only_this - only_other) / len(labels),
        "mcnemar_p": float(p_value),
        "nll_difference": float(differences.mean()),
        "nll_difference_low": float(low),
        "nll_difference_high": float(high),
    }


def _nll(logits, labels, name):
    nll = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    if np.isinf(nll).any():
        raise ValueError(f"{name} of example {np.isinf(nll).argmax()} exclude its label: -inf")
    return nll


def _interval(values, level, resamples, seed):
    """The ends of the mean's percentile bootstrap interval; NaN of a single value."""
    if len(values) < 2:
        return np.nan, np.nan
    from scipy import stats

    found = stats.bootstrap(
        [values],
        np.mean,
        n_resamples=resamples,
        batch=max(_AT_ONCE // len(values), 1),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return found.confidence_interval
