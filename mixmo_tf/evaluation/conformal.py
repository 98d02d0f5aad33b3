"""Sets of classes with a promise: the label is in them with at least the wanted chance.

Split conformal prediction. A score says how far a class lies down the list of an image's
classes; the threshold is what the labels of n held-out images score, all but the largest of
them: the ⌈(n + 1) · coverage⌉-th smallest. A set holds the classes that score it or less. The
promise is kept on average over images like the held-out ones, whatever the model is worth.

- APS (Romano et al. 2020, arXiv 2006.02544): the score of a class is the sum of the
  probabilities that are as large as its own, its own among them.
- RAPS (Angelopoulos et al. 2021, arXiv 2009.14193): with 0.01 more for each rank beyond the
  fifth, which keeps sets of many classes small; 0.01 and 5 are of their published example.

Both without randomisation, so that an image gets the same set every time; and the most probable
class is always in it, which can only add to the coverage. Classes of the same probability are in
it together.
"""

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
    of_labels = np.concatenate([
        of_some[np.arange(len(of_some)), labels[some]]
        for some, of_some in _scores(probabilities, method)
    ])  # fmt: skip
    count = len(labels)
    rank = np.ceil((count + 1) * coverage - 1e-9)  # 100 · 0.07 is more than 7
    return float("inf") if rank > count else float(np.sort(of_labels)[max(int(rank) - 1, 0)])


def sets(probabilities: ArrayLike, threshold: float, method: str = "aps") -> np.ndarray:
    """The classes in the set of each image.

    Args:
        probabilities: float (N, C).
        threshold: float, of the same method.
        method: one of `METHODS`.

    Returns:
        bool (N, C); in each row the most probable class at least.

    Raises:
        ValueError: if an argument is wrong.
    """
    if np.ndim(threshold) or not threshold >= 0:
        raise ValueError(f"threshold must be >= 0, got {arguments.brief(threshold)}")
    probabilities = predictions.check_scores(probabilities, "probabilities")
    return np.concatenate([
        (scores <= threshold + predictions.ROUNDING)
        | (probabilities[some] == probabilities[some].max(axis=1, keepdims=True))
        for some, scores in _scores(probabilities, method)
    ])  # fmt: skip


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


def _scores(probabilities, method):
    """Some rows at a time: slice of rows, and the scores of their classes, (rows, C)."""
    arguments.one_of("method", method, METHODS)
    rows = max(_AT_ONCE // probabilities.shape[1], 1)
    for start in range(0, len(probabilities), rows):
        some = slice(start, start + rows)
        mass, ranks = _mass_and_ranks(probabilities[some])
        if method == "raps":
            mass = mass + PENALTY * np.maximum(ranks - FREE_RANKS, 0)
        yield some, mass


def _mass_and_ranks(p):
    """Of each class, the sum of the probabilities as large as its own, and their number."""
    order = np.argsort(-p, axis=1)
    falling = np.take_along_axis(p, order, axis=1)
    place = np.arange(1, p.shape[1] + 1)
    differs = falling[:, :-1] != falling[:, 1:]
    ends_tie = np.pad(differs, ((0, 0), (0, 1)), constant_values=True)
    ends = np.where(ends_tie, place, p.shape[1])
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    mass, ranks = np.empty_like(p), np.empty(p.shape, int)
    of_ends = np.take_along_axis(falling.cumsum(axis=1), ends - 1, axis=1)
    np.put_along_axis(mass, order, of_ends, axis=1)
    np.put_along_axis(ranks, order, ends, axis=1)
    return mass, ranks
