import numpy as np
import pytest
from scipy.special import softmax

from mixmo_tf import evaluation
from mixmo_tf.evaluation.calibration import cross_fitted


def two_classes(confidence, correct):
    """Probabilities of two classes: class 0 is predicted, with these confidences."""
    confidence, correct = np.array(confidence), np.array(correct)
    return np.stack([confidence, 1 - confidence], axis=1), np.where(correct, 0, 1)


def over_confident(factor, num_examples=20_000):
    """Logits that are `factor` times too large for the labels drawn from them."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(num_examples, 4))
    drawn = random.random((num_examples, 1)) > softmax(logits, axis=1).cumsum(axis=1)
    return factor * logits, drawn.sum(axis=1)


def test_ece_by_hand():
    """Ten bins: (0.5, 0.6] holds two, one right; (0.9, 1.0] holds two, both right."""
    p, labels = two_classes([0.55, 0.6, 0.95, 1.0], [1, 0, 1, 1])
    expected = (abs(1 - 0.55 - 0.6) + abs(2 - 1.95)) / 4
    assert evaluation.ece(p, labels, num_bins=10) == pytest.approx(expected)


def test_the_bins_hold_their_upper_border():
    p, labels = two_classes([0.6, 0.65], [1, 0])
    assert evaluation.ece(p, labels, num_bins=5) == pytest.approx((0.4 + 0.65) / 2)
    p, labels = two_classes([0.6, 0.55], [1, 0])
    assert evaluation.ece(p, labels, num_bins=5) == pytest.approx(abs(1 - 1.15) / 2)


def test_adaptive_ece_by_hand():
    """Two bins of two, by confidence: 0.5 and 0.6; 0.7 and 0.9."""
    p, labels = two_classes([0.9, 0.5, 0.7, 0.6], [1, 1, 0, 0])
    expected = (abs(1 - 1.1) + abs(1 - 1.6)) / 4
    assert evaluation.adaptive_ece(p, labels, num_bins=2) == pytest.approx(expected)
    p, labels = two_classes([0.9, 0.5, 0.7], [1, 1, 0])  # bins of two and of one
    assert evaluation.adaptive_ece(p, labels, num_bins=2) == pytest.approx((0.2 + 0.1) / 3)


def test_tace_by_hand():
    """Two bins: of class 0 three examples (one, and the rest), of class 1 one: left out."""
    p = np.array([[0.9995, 0.0005], [0.9998, 0.0002], [0.4, 0.6]])
    labels = np.array([0, 1, 0])
    expected = (abs(1 - 0.4) + abs((1 - 0.9995) + (0 - 0.9998))) / 6
    assert evaluation.tace(p, labels, num_bins=2) == pytest.approx(expected)


def test_what_is_calibrated_has_small_errors_and_what_is_not_has_large_ones():
    for factor, low, high in ((1, 0, 0.02), (3, 0.2, 0.5)):
        logits, labels = over_confident(factor)
        p = softmax(logits, axis=1)
        for error in (evaluation.ece, evaluation.adaptive_ece):
            assert low <= error(p, labels) < high


def test_the_temperature_undoes_over_confidence():
    for factor in (0.5, 1, 3):
        logits, labels = over_confident(factor)
        temperature = evaluation.fit_temperature(logits, labels)
        assert temperature == pytest.approx(factor, rel=0.03)
        best = evaluation.nll(logits / temperature, labels)
        for other in (0.99, 1.01):
            assert best < evaluation.nll(logits / (temperature * other), labels)


def test_each_half_is_judged_at_the_temperature_of_the_other():
    logits, labels = over_confident(3, 1000)
    nllc, temperature = cross_fitted(logits, labels)
    exact = evaluation.fit_temperature(logits, labels)
    assert temperature == pytest.approx(exact, rel=0.1)
    assert evaluation.nll(logits / exact, labels) < nllc < evaluation.nll(logits, labels)
    assert cross_fitted(logits, labels) == (nllc, temperature)
    assert np.isnan(cross_fitted(logits[:1], labels[:1])).all()


def test_all_right_all_wrong_and_extreme_probabilities():
    p, right = two_classes([1.0, 1.0, 0.0], [1, 1, 0])
    for error in (evaluation.ece, evaluation.adaptive_ece, evaluation.tace):
        assert error(p, right, 1) == 0
        assert error(p, 1 - right, 1) == pytest.approx(1 / 2 if error is evaluation.tace else 1)
    logits = np.log(p + 1e-9)
    assert evaluation.fit_temperature(logits, right) == pytest.approx(np.exp(-7))
    assert evaluation.fit_temperature(logits, 1 - right) == pytest.approx(np.exp(7), rel=1e-3)
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\], got -20.* to 1e-09"):
        evaluation.ece(logits, right)
    with pytest.raises(ValueError, match="num_bins must be >= 1, got 0"):
        evaluation.ece(p, right, 0)
