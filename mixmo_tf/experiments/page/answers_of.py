"""What is computed of an Evaluation once, for all parts of its page."""

import functools

import numpy as np
from scipy.special import softmax

from mixmo_tf import evaluation
from mixmo_tf.experiments.evaluations import Evaluation


class Answers:
    """An Evaluation's answers as arrays.

    Attributes:
        of: the Evaluation.
        name: what it is called on the page.
        class_names: str that any file can hold.
        member: "member", or "model" of a deep ensemble.
    """

    def __init__(self, of: Evaluation, name: str):
        self.of = of
        self.name = name
        self.class_names = tuple(map(printable, of.class_names))
        self.member = "model" if len(of.files) > 1 else "member"

    @property
    def num_members(self) -> int:
        return self.of.member_logits.shape[1]

    @functools.cached_property
    def logits(self) -> np.ndarray:
        """The ensemble's, float64 (N, C)."""
        return self.of.logits()

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """The ensemble's, float64 (N, C)."""
        return softmax(self.logits, axis=1)

    @functools.cached_property
    def confidence(self) -> np.ndarray:
        """The largest probability, float64 (N,)."""
        return self.probabilities.max(axis=1)

    @functools.cached_property
    def answered(self) -> np.ndarray:
        """The classes, int (N,)."""
        return self.logits.argmax(axis=1)

    @functools.cached_property
    def is_wrong(self) -> np.ndarray:
        """bool (N,)."""
        return self.answered != self.of.labels

    @functools.cached_property
    def by_class(self) -> dict:
        """`evaluation.per_class`."""
        return evaluation.per_class(self.logits, self.of.labels)

    @property
    def subject(self) -> str:
        """What answers, in words."""
        if len(self.of.files) > 1:
            return f"the deep ensemble of {len(self.of.files)} models"
        count = self.num_members
        return f"the ensemble of {count} members" if count > 1 else "the model"


def printable(text: str) -> str:
    """A name as text that UTF-8 can hold: bytes that are none become their numbers."""
    return str(text).encode("utf-8", "backslashreplace").decode()
