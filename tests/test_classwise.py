"""Metrics per class: by hand, and by scikit-learn on classes of few images."""

import numpy as np
import pytest
from sklearn import metrics

from mixmo_tf import evaluation
from mixmo_tf.evaluation import classwise


def test_by_hand():
    """Four classes: the third has no image, the fourth is never answered."""
    labels, answers = np.array([0, 0, 0, 1, 3]), np.array([0, 1, 0, 1, 2])
    results = evaluation.per_class(np.eye(4)[answers], labels)
    np.testing.assert_array_equal(results["class_images"], [3, 1, 0, 1])
    np.testing.assert_array_equal(results["class_recall"], [2 / 3, 1, np.nan, 0])
    np.testing.assert_array_equal(results["class_precision"], [1, 1 / 2, 0, np.nan])
    expected = [[2, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_array_equal(results["confusion_matrix"], expected)
    assert evaluation.balanced_accuracy(np.eye(4)[answers], labels) == pytest.approx(5 / 9)


def test_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    labels = np.append(np.arange(7), random.integers(0, 7, 60)).astype(np.uint8)
    scores = random.normal(size=(67, 7))
    scores[np.arange(67), labels] += 1
    answers, results = scores.argmax(axis=1), evaluation.per_class(scores, labels)
    theirs = metrics.confusion_matrix(labels, answers)
    np.testing.assert_array_equal(results["confusion_matrix"], theirs)
    for name, of_classes in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
    ):
        expected = of_classes(labels, answers, average=None)
        np.testing.assert_allclose(results[f"class_{name}"], expected)
    balanced = metrics.balanced_accuracy_score(labels, answers)
    assert evaluation.balanced_accuracy(scores, labels) == pytest.approx(balanced)


def test_the_confusion_matrix_of_very_many_classes_is_left_out(monkeypatch):
    monkeypatch.setattr(classwise, "MOST_CLASSES", 3)
    assert "confusion_matrix" in evaluation.per_class(np.eye(3), [0, 1, 2])
    assert "confusion_matrix" not in evaluation.per_class(np.eye(4), [0, 1, 2, 3])


def test_classwise_ece_by_hand():
    """Two bins, (0, 0.5] and (0.5, 1].

    Class 0: 0.6 and 0.9, one right; 0.2, none. Class 1: 0.4 and 0.1, one right; 0.8, right.
    """
    p = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    labels = np.array([1, 0, 1])
    first = abs(1 - 0.6 - 0.9) + abs(0 - 0.2)
    second = abs(1 - 0.4 - 0.1) + abs(1 - 0.8)
    found = evaluation.classwise_ece(p, labels, num_bins=2)
    assert found == pytest.approx((first + second) / 6)


def test_classwise_ece_is_the_mean_of_each_class_ece():
    random = np.random.default_rng(0)
    p, labels = random.dirichlet(np.ones(4), 300), random.integers(0, 4, 300)
    of_classes = []
    for c in range(4):
        bins = np.ceil(p[:, c] * 15).astype(int)
        gaps = [(labels[bins == b] == c).mean() - p[bins == b, c].mean() for b in np.unique(bins)]
        of_classes.append(np.average(np.abs(gaps), weights=np.unique(bins, return_counts=True)[1]))
    assert evaluation.classwise_ece(p, labels) == pytest.approx(np.mean(of_classes))
    with pytest.raises(ValueError, match="num_bins must be >= 1, got 0"):
        evaluation.classwise_ece(p, labels, 0)
