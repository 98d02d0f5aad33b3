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


def test_examples_of_one_confidence_share_their_gap_evenly():
    """Confidence 0.9 for all, and nine of ten right: calibrated, in whatever order they come."""
    correct = np.arange(1000) >= 100
    random = np.random.default_rng(0)
    for right in (correct, correct[::-1], random.permutation(correct)):
        p, labels = two_classes(np.full(1000, 0.9), right)
        assert evaluation.adaptive_ece(p, labels) == pytest.approx(0, abs=1e-12)
        assert evaluation.tace(p, labels) == pytest.approx(0, abs=1e-12)
        logits = np.tile(np.log([0.9, 0.05, 0.02, 0.01, 0.01, 0.01]), (1000, 1))
        p = softmax(random.permuted(logits, axis=1), axis=1)
        labels = np.where(right, p.argmax(axis=1), p.argmin(axis=1))
        assert len(set(p.max(axis=1))) > 1  # the sum over the classes is rounded in their order
        assert evaluation.adaptive_ece(p, labels) == pytest.approx(0, abs=1e-12)


def test_a_border_that_parts_examples_of_one_confidence():
    """Bins of two: one of three 0.6s, of which one is right, lies with 0.5, and two with 0.9."""
    p, labels = two_classes([0.6, 0.5, 0.6, 0.6], [1, 1, 0, 0])
    shared = (1 - 3 * 0.6) / 3
    expected = (abs(1 - 0.5 + shared) + abs(2 * shared)) / 4
    assert evaluation.adaptive_ece(p, labels, num_bins=2) == pytest.approx(expected)
    of_class = abs(1 - 0.5 + shared) + abs(2 * shared)  # for class 1 the bins are 0.4 0.4, 0.4 0.5
    of_other = abs(-2 * shared) + abs(-shared + 0 - 0.5)
    expected = (of_class + of_other) / 8
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


def nearly_always_right(errors, num_examples=360):
    """Logits of ten classes that name the label, by 4 to 24, but for a few examples."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 10, num_examples)
    logits = random.normal(size=(num_examples, 10))
    own = np.arange(num_examples), labels
    logits[own] = -np.inf
    ahead = np.exp(random.uniform(np.log(2), np.log(12), num_examples))
    wrong = random.choice(num_examples, errors, replace=False)
    ahead[wrong] = -np.array([0.16, 2.0, 1.0])[:errors]
    logits[own] = logits.max(axis=1) + ahead
    return 2 * logits, labels


@pytest.mark.parametrize("errors", [0, 1, 2, 3])
def test_rare_errors_let_no_temperature_run_away(errors):
    """An accuracy of 99.44 % of 360, and around.

    For one error, two halves gave an NLLc of 0.97, and so do ten folds without the prior; for
    two, an NLL of 0.021, halves gave 13.
    """
    logits, labels = nearly_always_right(errors)
    assert evaluation.accuracy(logits, labels) == 1 - errors / 360
    nllc, temperature = cross_fitted(logits, labels)
    assert nllc < 1.1 * evaluation.nll(logits, labels)
    assert 0.5 < temperature < 2
    tenfold = cross_fitted(10 * logits, labels)  # the prior prefers no scale
    assert tenfold == pytest.approx((nllc, 10 * temperature), rel=1e-4)


def test_jeffreys_prior_by_hand():
    """Two classes, n examples right by g: 1 / (e^(g/T) + 1) = 1 / (2·(n + 1)), as if half erred."""
    for n, g in ((1, 3.0), (360, 0.5)):
        logits, labels = np.tile([g, 0.0], (n, 1)), np.zeros(n, int)
        expected = g / np.log(2 * n + 1)
        ours = evaluation.fit_temperature(logits, labels, jeffreys=True)
        assert ours == pytest.approx(expected, rel=1e-6)
    logits, labels = over_confident(3, 5000)
    ours = evaluation.fit_temperature(logits, labels, jeffreys=True)
    assert ours == pytest.approx(evaluation.fit_temperature(logits, labels), rel=1e-3)


def test_the_folds_do_not_depend_on_the_order():
    """To the last bit, with examples that occur twice and logits that tie."""
    logits, labels = over_confident(3, 200)
    logits = np.concatenate([np.round(logits), np.round(logits[:70])])
    labels = np.concatenate([labels, labels[:70]])
    expected = cross_fitted(logits, labels)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(270)
        assert cross_fitted(logits[order], labels[order]) == expected


def test_a_few_examples_are_a_fold_each():
    logits, labels = over_confident(3, 12)
    for n in range(2, 13):
        nllc, temperature = cross_fitted(logits[:n], labels[:n])
        assert np.isfinite(nllc) and np.exp(-7) <= temperature <= np.exp(7) * (1 + 1e-9)
    total = 0
    for i in range(3):
        rest = np.delete(np.arange(3), i)
        t = evaluation.fit_temperature(logits[rest], labels[rest], jeffreys=True)
        total += evaluation.nll(logits[[i]] / t, labels[[i]])
    assert cross_fitted(logits[:3], labels[:3])[0] == pytest.approx(total / 3, rel=1e-5)


def test_each_fold_is_evaluated_at_the_temperature_of_the_others():
    logits, labels = over_confident(3, 1000)
    nllc, temperature = cross_fitted(logits, labels)
    exact = evaluation.fit_temperature(logits, labels)
    assert temperature == pytest.approx(exact, rel=0.1)
    assert evaluation.nll(logits / exact, labels) < nllc < evaluation.nll(logits, labels)
    assert cross_fitted(logits, labels) == (nllc, temperature)
    assert np.isnan(cross_fitted(logits[:1], labels[:1])).all()


@pytest.mark.parametrize("case", ["over-confident", "one error", "always right"])
def test_the_temperatures_of_the_folds_are_exact(case):
    """Each is the best for nine tenths, found here by a search of its own."""
    if case == "over-confident":
        logits, labels = over_confident(3, 1000)
    else:
        logits, labels = nearly_always_right(1 if case == "one error" else 0, 1000)
    own = logits[np.arange(1000), labels]
    others = np.where(np.arange(logits.shape[1]) == labels[:, None], -np.inf, logits)
    order = np.argsort(-(own - others.max(axis=1)), kind="stable")
    total, log_temperatures = 0, []
    for fold in range(10):
        of_fold = order[fold::10]
        rest = np.delete(np.arange(1000), of_fold)
        t = evaluation.fit_temperature(logits[rest], labels[rest], jeffreys=True)
        total += 100 * evaluation.nll(logits[of_fold] / t, labels[of_fold])
        log_temperatures.append(np.log(t))
    nllc, temperature = cross_fitted(logits, labels)
    assert nllc == pytest.approx(total / 1000, rel=2e-6)
    assert np.log(temperature) == pytest.approx(np.mean(log_temperatures), abs=1e-6)


def test_all_folds_share_the_looks_at_the_logits(monkeypatch):
    """20,000 × 1,000 logits took 13 s, when each fold was fitted by itself: 100 looks at all."""
    logits, labels = over_confident(3, 2000)
    looked_at, exp = [], np.exp

    def counting(array):
        looked_at.append(np.size(array))
        return exp(array)

    monkeypatch.setattr(np, "exp", counting)
    cross_fitted(logits, labels)
    assert logits.size < sum(looked_at) < 35 * logits.size


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
