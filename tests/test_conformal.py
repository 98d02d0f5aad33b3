"""Conformal sets: by hand, with ties, and what they promise."""

import numpy as np
import pytest

from mixmo_tf import evaluation
from mixmo_tf.evaluation import conformal

P = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25], [0.6, 0.1, 0.3]])


def test_aps_by_hand():
    """The labels score 0.5, 0, 0.5 and 0.9: what is larger than their own probability."""
    labels = np.array([1, 2, 2, 1])
    scores = [0, 0.5, 0.5, 0.9]
    for rank, score in enumerate(scores, 1):
        assert conformal.threshold(P, labels, coverage=rank / 5) == pytest.approx(score)
    assert conformal.threshold(P, labels, coverage=0.81) == np.inf  # ⌈5 · 0.81⌉ is more than 4
    expected = np.array([[1, 1, 0], [0, 0, 1], [1, 1, 1], [1, 0, 0]], bool)
    np.testing.assert_array_equal(conformal.sets(P, 0.5), expected)
    assert conformal.coverage_and_size(P, labels, 0.5) == (3 / 4, 7 / 4)
    np.testing.assert_array_equal(conformal.sets(P, np.inf), np.ones((4, 3), bool))
    np.testing.assert_array_equal(conformal.sets(P, 0), P == P.max(axis=1, keepdims=True))


def test_raps_by_hand():
    """Of eight classes the seventh and the eighth score 0.02 and 0.03 more, the sixth 0.01."""
    p = np.array([[0.3, 0.2, 0.15, 0.1, 0.09, 0.08, 0.05, 0.03]])
    more = np.array([0, 0, 0, 0, 0, 0.01, 0.02, 0.03])
    before = np.cumsum(np.append(0, p[0, :-1])) + more
    for order in (np.arange(8), np.array([3, 7, 1, 0, 2, 6, 5, 4])):
        for label, score in zip(range(8), before[order], strict=True):
            found = conformal.threshold(p[:, order], [label], coverage=0.5, method="raps")
            assert found == pytest.approx(score)
            in_set = conformal.sets(p[:, order], found, method="raps")
            np.testing.assert_array_equal(in_set[0], before[order] <= score + 1e-12)
    assert conformal.threshold(p, [6], 0.5, "raps") == pytest.approx(0.92 + 0.02)
    assert conformal.threshold(p, [6], 0.5) == pytest.approx(0.92)


def test_classes_of_the_same_probability_are_in_a_set_together():
    p = np.array([[0.4, 0.2, 0.2, 0.2], [0.25, 0.25, 0.25, 0.25]])
    for label in (1, 2, 3):
        assert conformal.threshold(p[:1], [label], coverage=0.5) == pytest.approx(0.4)
    for method in conformal.METHODS:
        expected = [[[1, 0, 0, 0], [1, 1, 1, 1]], [[1, 1, 1, 1], [1, 1, 1, 1]]]
        for threshold, sets in zip((0.39, 0.4), expected, strict=True):
            np.testing.assert_array_equal(conformal.sets(p, threshold, method), sets)
    many = np.full((1, 12), 1 / 12)
    assert conformal.threshold(many, [11], 0.5, "raps") == 0  # whatever rank a tie is given


@pytest.mark.parametrize("method", conformal.METHODS)
@pytest.mark.parametrize("sharpness", [0.5, 1, 4])
def test_the_promise_is_kept_whatever_the_model_is_worth(method, sharpness):
    """Too unsure, calibrated, too sure; in 4,000 images 0.9 ± 0.005."""
    random = np.random.default_rng(0)
    true = random.dirichlet(np.ones(20) / 4, 8_000)
    labels = (random.random((8_000, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(0, 19)
    p = true**sharpness + 1e-12
    p /= p.sum(axis=1, keepdims=True)
    threshold = conformal.threshold(p[:4_000], labels[:4_000], method=method)
    coverage, size = conformal.coverage_and_size(p[4_000:], labels[4_000:], threshold, method)
    assert coverage == pytest.approx(0.9, abs=0.02) and 1 < size < 20


def test_where_the_model_is_right_oftener_than_wanted_sets_are_of_one_class():
    p = np.tile([0.5, 0.3, 0.2], (100, 1))
    labels = (np.arange(100) < 5).astype(int)
    threshold = conformal.threshold(p, labels)
    assert threshold == 0
    assert conformal.coverage_and_size(p, labels, threshold) == (0.95, 1)


def test_many_rows_are_those_of_a_few(monkeypatch):
    random = np.random.default_rng(0)
    p, labels = random.dirichlet(np.ones(6), 50), random.integers(0, 6, 50)
    together = conformal.threshold(p, labels), conformal.sets(p, 0.6)
    monkeypatch.setattr(conformal, "_AT_ONCE", 42)
    apart = conformal.threshold(p, labels), conformal.sets(p, 0.6)
    assert together[0] == apart[0]
    np.testing.assert_array_equal(together[1], apart[1])


def test_report_has_them_with_held_out_images_alone():
    random = np.random.default_rng(0)
    labels = random.integers(0, 6, 400)
    logits = random.normal(size=(400, 2, 6))
    logits[np.arange(400), :, labels] += 1.5
    held_out = logits[:150], labels[:150]
    assert "aps_size" not in evaluation.report(logits, labels)
    metrics = evaluation.report(logits[150:], labels[150:], held_out=held_out)
    p = np.exp(evaluation.ensemble_logits(logits))
    p /= p.sum(axis=1, keepdims=True)
    for method in conformal.METHODS:
        threshold = conformal.threshold(p[:150], labels[:150], 0.9, method)
        expected = conformal.coverage_and_size(p[150:], labels[150:], threshold, method)
        found = metrics[f"{method}_coverage"], metrics[f"{method}_size"]
        assert found == pytest.approx(expected)
        assert len(metrics[f"member_{method}_size"]) == 2


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: conformal.threshold(P, [0] * 4, method="lac"), "method must be one of aps, raps"),
        (lambda: conformal.threshold(P, [0] * 4, 1.2), r"coverage must be in \[0, 1\], got 1.2"),
        (lambda: conformal.threshold(P, [0] * 3), "probabilities and labels must be of the same"),
        (lambda: conformal.sets(P, -1), "threshold must be a number >= 0, got -1"),
        (lambda: conformal.sets(2 * P, 0.5), r"probabilities must be in \[0, 1\], got 0.2 to 1.4"),
        (lambda: conformal.sets(P[0], 0.5), r"probabilities must be \(N, C\), one example or more"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
