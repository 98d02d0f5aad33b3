import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss, top_k_accuracy_score

from mixmo_tf import evaluation

LOGITS = np.log([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25]])
LABELS = np.array([0, 1, 2])


def random_case(num_examples=500, num_classes=7):
    random = np.random.default_rng(0)
    logits = random.normal(size=(num_examples, num_classes)) * 2
    return logits, random.integers(0, num_classes, num_examples)


def test_by_hand():
    p = np.exp(LOGITS)
    assert evaluation.accuracy(p, LABELS) == pytest.approx(1 / 3)
    assert evaluation.nll(LOGITS, LABELS) == pytest.approx(-np.log([0.5, 0.2, 0.25]).mean())
    squares = [0.25 + 0.09 + 0.04, 0.01 + 0.64 + 0.49, 0.0625 + 0.25 + 0.5625]
    assert evaluation.brier(p, LABELS) == pytest.approx(np.mean(squares))
    assert evaluation.top_k_accuracy(p, LABELS, 2) == pytest.approx(2 / 3)


def test_agrees_with_scikit_learn():
    logits, labels = random_case()
    p = softmax(logits, axis=1)
    assert evaluation.nll(logits, labels) == pytest.approx(log_loss(labels, p), abs=1e-12)
    for k in (1, 2, 5):
        theirs = top_k_accuracy_score(labels, logits, k=k)
        assert evaluation.top_k_accuracy(logits, labels, k) == pytest.approx(theirs)


def test_of_equal_scores_the_lower_class_goes_first():
    scores = np.ones((4, 4))
    assert evaluation.accuracy(scores, np.arange(4)) == 0.25
    assert evaluation.top_k_accuracy(scores, np.arange(4), 3) == 0.75
    assert evaluation.top_k_accuracy(scores, np.arange(4), 5) == 1


def test_probabilities_of_0_and_1():
    logits = np.array([[1e4, 0.0, -1e4], [0.0, -np.inf, 0.0]])
    p = softmax(logits, axis=1)
    assert evaluation.nll(logits, np.array([0, 2])) == pytest.approx(np.log(2) / 2)
    assert evaluation.nll(logits, np.array([1, 0])) == pytest.approx((1e4 + np.log(2)) / 2)
    assert evaluation.nll(logits, np.array([0, 1])) == np.inf
    assert evaluation.brier(p, np.array([0, 1])) == pytest.approx((0 + 1.5) / 2)


@pytest.mark.parametrize(
    "scores, labels, message",
    [
        (np.zeros((3, 2)), np.zeros(4, int), r"got \(3, 2\) and \(4,\)"),
        (np.zeros(3), np.zeros(3, int), r"got \(3,\) and \(3,\)"),
        (np.zeros((0, 2)), np.zeros(0, int), "one or more"),
        (np.zeros((3, 2)), np.zeros(3), "labels must be integers, got float64"),
        (np.zeros((3, 2)), np.array([0, 2, 1]), "labels must be in 0 to 1, got 2"),
        (np.zeros((3, 2)), np.array([0, -1, 1]), "labels must be in 0 to 1, got -1"),
        (np.array([[0, 1], [np.nan, 0]]), np.array([0, 1]), "logits of example 1 are not finite"),
        (np.array([[0, np.inf]]), np.array([0]), "logits of example 0 are not finite"),
        (np.array([[0, 1], [-np.inf] * 2]), np.array([0, 0]), "logits of example 1 are not finite"),
        (np.array([[0, 1j]]), np.array([0]), "logits must be an array of numbers .got complex128"),
        (np.array([["0", "1"]]), np.array([0]), "logits must be an array of numbers .got <U1"),
    ],
)
def test_bad_input_is_named(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        evaluation.nll(scores, labels)


def test_what_is_certain_is_zero_and_not_minus_zero():
    sure = np.array([[1e3, 0.0]])
    members = np.stack([sure, sure], axis=1)
    aleatoric, _ = evaluation.entropy_split(members)
    assert "-" not in f"{evaluation.nll(sure, [0])} {aleatoric[0]}"


def test_a_rank_is_a_whole_number():
    with pytest.raises(ValueError, match="k must be a whole number, got 1.5"):
        evaluation.top_k_accuracy(np.eye(3), np.arange(3), 1.5)
