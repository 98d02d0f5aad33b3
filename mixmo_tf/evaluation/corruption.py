"""What is said of a model on corrupted images: metrics of each set, and their means.

A set is the images of one corruption at one severity (`data.corruptions`). Three means are in
use, and each has its own name here:

- `mean_over_15`, `mean_over_19`: over the sets of the 15 benchmark corruptions, or of all 19, in
  five severities, as uncertainty-baselines has it; 1 − its accuracy is what AugMix calls mCE;
- `pool`: all images of all sets as one, as the published MixMo code has it. Only its ECE differs
  from that of a mean;
- `mce`: the mean corruption error of ImageNet-C, relative to AlexNet's (Hendrycks and Dietterich
  2019, arXiv 1903.12261).

There is no temperature in any of them.
"""

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf import arguments
from mixmo_tf.data.corruptions import BENCHMARK, NAMES, SEVERITIES
from mixmo_tf.evaluation import calibration, predictions, scores
from mixmo_tf.evaluation.metrics import MEMBER, Record

KEYS = ("accuracy", "nll", "ece", "brier")
_ROUNDING = 1e-9
# AlexNet's error, mean over the severities, of github.com/hendrycks/robustness
ALEXNET_ERRORS = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}


def sums(member_logits: ArrayLike, labels: ArrayLike, ensemble: str = "logits") -> np.ndarray:
    """What the metrics of a set are made of; it adds up over batches, and over sets.

    Args:
        member_logits: float (n, M, C).
        labels: int (n,).
        ensemble: "logits" or "probabilities", what the ensemble averages.

    Returns:
        float64 (1 + M, 4 + bins), of the ensemble and each member: images, right answers, Σ NLL,
        Σ Brier score, and `calibration.ece_gaps`.

    Raises:
        ValueError: if a shape is wrong, a logit is not finite, or a label is out of range.
    """
    member_logits, labels = predictions.check_members(member_logits, labels)
    members = np.moveaxis(member_logits.astype(np.float64), 1, 0)
    of_all = [predictions.ensemble_logits(member_logits, ensemble), *members]
    return np.stack([_sums_of_one(Record(logits, labels)) for logits in of_all])


def check_sums(of_set: np.ndarray, num_members: int) -> None:
    """Raises ValueError unless they are what `sums` may have given for so many members."""
    shape = 1 + num_members, 4 + calibration.NUM_BINS
    if of_set.shape != shape or not np.isfinite(of_set).all():
        raise ValueError(f"sums must be {shape}, finite, got {arguments.brief(of_set)}")
    count, *of_metrics = of_set[:, 0], *of_set[:, 1:4].T, np.abs(of_set[:, 4:]).sum(axis=1)
    if len(set(count)) > 1 or count[0] < 1 or count[0] != int(count[0]):
        raise ValueError(f"sums must be of a number of images, got {count}")
    for each, most in zip(of_metrics, (1, np.inf, 2, 1), strict=True):
        if not -_ROUNDING <= (each / count).min() <= (each / count).max() <= most + _ROUNDING:
            raise ValueError(f"sums of {count[0]:g} images are out of range: {each}")


def metrics(of_set: ArrayLike) -> dict:
    """Accuracy, NLL, ECE and Brier score by their names, the members' as lists by `member_`."""
    return _named(_metrics(of_set))


def summary(sets: dict[tuple[str, int], np.ndarray], with_mce: bool = False) -> dict:
    """The metrics of all sets, and their means.

    Args:
        sets: by (corruption, severity), what `sums` gives.
        with_mce: whether they are of ImageNet-C, the only images that AlexNet's errors are for.

    Returns:
        dict: "sets", metrics by corruption and severity; "per_corruption" and "per_severity",
        means over those sets that there are; "mean_over_15", "mean_over_19" and "mce", None where
        a set is missing, and then "undefined" says why; "mean_over_found" and "pool" of all sets
        that there are.
    """
    of_sets = {key: _metrics(of_set) for key, of_set in sets.items()}  # (1 + M, 4)
    names = [name for name in NAMES if any(name == each for each, _ in sets)]
    severities = sorted({severity for _, severity in sets})

    def mean(keys):
        return np.mean([of_sets[key] for key in keys if key in of_sets], axis=0)

    per_corruption = {name: mean((name, s) for s in severities) for name in names}
    result = {
        "sets": {
            name: {str(s): _named(of_sets[name, s]) for s in severities if (name, s) in sets}
            for name in names
        },
        "per_corruption": {name: _named(of_one) for name, of_one in per_corruption.items()},
        "per_severity": {str(s): _named(mean((name, s) for name in names)) for s in severities},
        "mean_over_found": _named(mean(sets)),
        "pool": metrics(sum(sets.values())),
    }
    undefined = {}
    for key, over in (("mean_over_15", BENCHMARK), ("mean_over_19", NAMES)):
        wanted = [(name, severity) for name in over for severity in SEVERITIES]
        missing = sum(each not in sets for each in wanted)
        result[key] = None if missing else _named(mean(wanted))
        if missing:
            undefined[key] = f"{missing} of its {len(wanted)} sets are missing"
    if with_mce and "mean_over_15" in undefined:
        result["mce"], undefined["mce"] = None, undefined["mean_over_15"]
    elif with_mce:
        result |= _mce(per_corruption)
    return result | ({"undefined": undefined} if undefined else {})


def widest(found: dict) -> str:
    """The key of `summary`'s mean over the most sets that is whole."""
    return next(key for key in ("mean_over_19", "mean_over_15", "mean_over_found") if found[key])


def _mce(per_corruption):
    """CE of each corruption, and their mean, as shares of AlexNet's error."""
    errors = {name: 1 - per_corruption[name][:, 0] for name in BENCHMARK}  # (1 + M,)
    ces = {name: error / ALEXNET_ERRORS[name] for name, error in errors.items()}
    mce, *of_members = np.mean(list(ces.values()), axis=0).tolist()
    ce = {name: float(of_all[0]) for name, of_all in ces.items()}
    return {"ce": ce, "mce": mce, MEMBER + "mce": of_members}


def _sums_of_one(record):
    count = len(record.labels)
    of_images = (
        scores.accuracy(record.logits, record.labels),
        scores.nll(record.logits, record.labels),
        scores.brier(record.probabilities, record.labels),
    )
    gaps = calibration.ece_gaps(record.probabilities, record.labels)
    return np.array([count, *(count * mean for mean in of_images), *gaps])


def _metrics(of_set):
    """float64 (1 + M, 4), in the order of `KEYS`."""
    count, right, nll, brier, *gaps = np.moveaxis(np.asarray(of_set), 1, 0)
    ece = np.abs(gaps).sum(axis=0)
    return np.stack([right, nll, ece, brier], axis=1) / count[:, None]


def _named(of_all):
    """Metrics (1 + M, 4) as a dict."""
    first, *of_members = of_all.tolist()
    named = dict(zip(KEYS, first, strict=True))
    lists = zip(*of_members, strict=True)
    return named | {MEMBER + key: list(each) for key, each in zip(KEYS, lists, strict=True)}
