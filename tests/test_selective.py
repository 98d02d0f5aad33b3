import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mixmo_tf import evaluation


def case(confidence, correct):
    confidence = np.array(confidence)
    return np.stack([confidence, 1 - confidence], axis=1), np.where(correct, 0, 1)


def test_auroc_by_hand_and_by_scikit_learn():
    p, labels = case([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    assert evaluation.misclassification_auroc(p, labels) == pytest.approx(3 / 4)
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(5), 300)
    labels = random.integers(0, 5, 300)
    theirs = roc_auc_score(p.argmax(axis=1) == labels, p.max(axis=1))
    assert evaluation.misclassification_auroc(p, labels) == pytest.approx(theirs, abs=1e-12)


def test_the_risk_coverage_curve_by_hand():
    p, labels = case([0.6, 0.9, 0.7, 0.8], [1, 1, 0, 1])
    coverage, risk = evaluation.risk_coverage(p, labels)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 4])
    assert evaluation.aurc(p, labels) == pytest.approx((1 / 3 + 1 / 4) / 4)
    assert evaluation.coverage_at_risk(p, labels, 0.05) == 0.5
    assert evaluation.coverage_at_risk(p, labels, 0.25) == 1
    assert evaluation.coverage_at_risk(p, labels, 0.3) == 1


def test_ties_do_not_depend_on_the_order():
    """Of four with one confidence one is wrong: the risk among them is 1/4 at every point."""
    for wrong in range(4):
        p, labels = case([0.7] * 4, np.arange(4) != wrong)
        np.testing.assert_allclose(evaluation.risk_coverage(p, labels)[1], [0.25] * 4)
        assert evaluation.coverage_at_risk(p, labels, 0.2) == 0  # no threshold parts them
        assert evaluation.coverage_at_risk(p, labels, 0.25) == 1
        assert evaluation.misclassification_auroc(p, labels) == 0.5


def test_all_right_all_wrong_and_one_example():
    p, labels = case([0.9, 0.8], [1, 1])
    assert np.isnan(evaluation.misclassification_auroc(p, labels))
    assert evaluation.aurc(p, labels) == 0 and evaluation.coverage_at_risk(p, labels) == 1
    assert np.isnan(evaluation.misclassification_auroc(p, 1 - labels))
    assert evaluation.aurc(p, 1 - labels) == 1 and evaluation.coverage_at_risk(p, 1 - labels) == 0
    assert evaluation.aurc(p[:1], labels[:1]) == 0


def test_a_risk_that_is_met_exactly_is_met():
    """In floating point 0.29 · 100 is less than 29."""
    for percent in range(101):
        p, labels = case([0.7] * 100, np.arange(100) >= percent)
        assert evaluation.coverage_at_risk(p, labels, percent / 100) == 1
    for risk in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"risk must be in \[0, 1\]"):
            evaluation.coverage_at_risk(p, labels, risk)


def test_the_conventions_by_hand():
    """Confidences .9 .8 .7 .6 .8, errors 0 0 1 1 0: selective risks 0, 0, 0, 1/4, 2/5."""
    p, labels = case([0.9, 0.8, 0.7, 0.6, 0.8], [1, 1, 0, 0, 1])
    np.testing.assert_allclose(evaluation.risk_coverage(p, labels)[1], [0, 0, 0, 0.25, 0.4])
    assert evaluation.aurc(p, labels) == pytest.approx(0.13)
    best = 0.4 + 0.6 * np.log(0.6)
    assert evaluation.eaurc(p, labels) == pytest.approx(0.13 - best)
    assert evaluation.eaurc(p, labels) == pytest.approx(0.0365, abs=5e-5)
    assert evaluation.augrc(p, labels) == pytest.approx((0.2 / 2 + (0.2 + 0.4) / 2) / 5)
    assert evaluation.augrc(p, labels) == pytest.approx(0.08)
    assert evaluation.coverage_at_risk(p, labels, 0.05) == pytest.approx(0.6)
    assert evaluation.risk_at_coverage(p, labels) == 0.25
    metrics = evaluation.report(np.log(p)[:, None], labels)
    keys = ["aurc", "eaurc", "augrc", "coverage_at_5_risk", "risk_at_80_coverage"]
    expected = [0.13, 0.13 - best, 0.08, 0.6, 0.25]
    assert [metrics[key] for key in keys] == pytest.approx(expected)


def test_without_any_order_augrc_is_half_the_error_rate():
    p, labels = case([0.7] * 5, [1, 0, 1, 1, 0])
    assert evaluation.augrc(p, labels) == pytest.approx(0.2)
    for coverage in (0, 0.5, 1):
        assert evaluation.risk_at_coverage(p, labels, coverage) == pytest.approx(0.4)


@pytest.mark.parametrize("correct, aurc", [(True, 0), (False, 1)])
def test_all_right_and_all_wrong_are_the_best_order_of_their_errors(correct, aurc):
    p, labels = case([0.9, 0.8, 0.7], [correct] * 3)
    assert evaluation.aurc(p, labels) == aurc and evaluation.eaurc(p, labels) == 0
    assert evaluation.augrc(p, labels) == aurc / 2
    assert evaluation.risk_at_coverage(p, labels) == aurc


def test_a_coverage_counts_the_answers_that_it_needs():
    """⌈0.28 · 100⌉ is 28, though 0.28 * 100 is more than 28; the 29th is wrong."""
    confidence = np.linspace(0.99, 0.6, 100)
    p, labels = case(confidence, np.arange(100) != 28)
    assert 0.28 * 100 > 28
    assert evaluation.risk_at_coverage(p, labels, 0.28) == 0
    assert evaluation.risk_at_coverage(p, labels, 0.281) == pytest.approx(1 / 29)
    assert evaluation.risk_at_coverage(p, labels, 0) == 0
    for coverage in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"coverage must be in \[0, 1\]"):
            evaluation.risk_at_coverage(p, labels, coverage)
