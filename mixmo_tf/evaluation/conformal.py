"""Sets of classes with a promise: the label is in them with at least the wanted chance.

Split conformal prediction. A score says how far a class lies down the list of an image's
classes; the threshold is what the labels of n held-out images score, all but the largest of
them: the ⌈(n + 1) · coverage⌉-th smallest. A set holds the classes that score it or less. The
promise is kept on average over images like the held-out ones, whatever the model is worth.

- APS (Romano et al. 2020, arXiv 2006.02544): the score of a class is the sum of the
  probabilities that are larger than its own. So the set is the smallest one of the most probable
  classes whose probabilities exceed the threshold together.
- RAPS (Angelopoulos et al. 2021, arXiv 2009.14193): with 0.01 more for each rank beyond the
  fifth, which keeps sets of many classes small; 0.01 and 5 are of their published example.

Both without randomisation, so that an image gets the same set every time. Others add a class' own
probability to its score: then the surest images have empty sets, unless more is promised than
wanted. Here the most probable class scores 0 and is always in the set; where the model is right
more often than wanted, sets are of this class alone, and the coverage is the accuracy. Classes of
the same probability are in a set together.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions

METHODS = ("aps", "raps")
COVERAGE = 0.9
PENALTY, FREE_RANKS = 0.01, 5  # of RAPS
_AT_ONCE = 2**20  # probabilities, so that what is computed of them takes little memory


def threshold(
    probabilities: ArrayLike, labels: ArrayLike, coverage: float = COVERAGE, method: str = "aps"
) -> float:
    """The score up to which classes are in the sets, calibrated on held-out images.

    Args:
        probabilities: float (N, C), of held-out images.
        labels: int (N,).
        coverage: float in [0, 1], the chance that a set must hold the label.
        method: one of `METHODS`.

    Returns:
        float; infinite, for sets of all classes, where N images are too few for the promise:
        (N + 1) · coverage > N.

    Raises:
        ValueError: if the shapes disagree, or an argument is out of range.
    """
    arguments.within("coverage", coverage, 0, 1)
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    of_labels = np.empty(len(labels))
    for some, _, scores in _falling(probabilities, method):
        p, rows = probabilities[some], np.arange(len(scores))
        ranks = np.sum(p > p[rows, labels[some], None], axis=1)
        of_labels[some] = scores[rows, ranks]
    rank = math.ceil((len(labels) + 1) * coverage - 1e-9)  # 100 · 0.07 is more than 7
    return float(np.sort(of_labels)[max(rank - 1, 0)]) if rank <= len(labels) else math.inf


def sets(probabilities: ArrayLike, threshold: float, method: str = "aps") -> np.ndarray:
    """The classes in the set of each image.

    Args:
        probabilities: float (N, C).
        threshold: float, of the same method.
        method: one of `METHODS`.

    Returns:
        bool (N, C), in each row one class or more.

    Raises:
        ValueError: if an argument is wrong.
    """
    predictions.check_threshold(threshold)
    probabilities = predictions.check_scores(probabilities, "probabilities")
    in_sets = np.empty(probabilities.shape, bool)
    for some, falling, scores in _falling(probabilities, method):
        sizes = np.sum(scores <= threshold + predictions.ROUNDING, axis=1)
        smallest = falling[np.arange(len(sizes)), sizes - 1]
        in_sets[some] = probabilities[some] >= smallest[:, None]
    return in_sets


def coverage_and_size(
    probabilities: ArrayLike, labels: ArrayLike, threshold: float, method: str = "aps"
) -> tuple[float, float]:
    """How often the sets hold the label, and how many classes they have.

    Args:
        probabilities: float (N, C), of other images than the threshold is calibrated on.
        labels: int (N,).
        threshold: float, of the same method.
        method: one of `METHODS`.

    Returns:
        coverage: float in [0, 1].
        size: float in [1, C], the mean.

    Raises:
        ValueError: if the shapes disagree, or an argument is wrong.
    """
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    in_set = sets(probabilities, threshold, method)
    covered = in_set[np.arange(len(labels)), labels]
    return float(covered.mean()), float(in_set.sum() / len(labels))


def _falling(probabilities, method):
    """Some rows at a time: slice of rows, their probabilities, falling, and their scores.

    Of equal probabilities, the first one's score is that of all.
    """
    arguments.one_of("method", method, METHODS)
    num_classes = probabilities.shape[1]
    penalty = np.zeros(num_classes)
    if method == "raps":
        penalty = PENALTY * np.maximum(np.arange(1, num_classes + 1) - FREE_RANKS, 0)
    rows = max(_AT_ONCE // num_classes, 1)
    for start in range(0, len(probabilities), rows):
        some = slice(start, start + rows)
        falling = -np.sort(-probabilities[some], axis=1)
        scores = np.zeros_like(falling)
        np.cumsum(falling[:, :-1], axis=1, out=scores[:, 1:])
        yield some, falling, scores + penalty
