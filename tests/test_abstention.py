"""Thresholds on confidence: by hand, with ties, and on images that they were not found on."""

import numpy as np
import pytest
import scipy.stats
from test_selective import case

from mixmo_tf import evaluation
from mixmo_tf.experiments.abstention import Evidence, in_words


def test_by_hand():
    """By falling confidence: right, right, wrong, right, wrong."""
    p, labels = case([0.9, 0.6, 0.8, 0.7, 0.65], [1, 0, 1, 0, 1])
    for risk, threshold, kept in [
        (0, 0.8, (2 / 5, 0)),
        (0.25, 0.65, (4 / 5, 1 / 4)),  # of the first three 1/3 are wrong, of the first four 1/4
        (0.3, 0.65, (4 / 5, 1 / 4)),
        (0.4, 0.6, (1, 2 / 5)),
        (1, 0.6, (1, 2 / 5)),
    ]:
        assert evaluation.abstention_threshold(p, labels, risk=risk) == threshold
        assert evaluation.coverage_and_risk(p, labels, threshold) == pytest.approx(kept)
        assert evaluation.coverage_at_risk(p, labels, risk) == kept[0]
    for coverage, threshold in [(0, 0.9), (0.2, 0.9), (0.21, 0.8), (0.6, 0.7), (1, 0.6)]:
        assert evaluation.abstention_threshold(p, labels, coverage=coverage) == threshold


def test_no_threshold_parts_what_ties():
    p, labels = case([0.7, 0.7, 0.7, 0.9], [0, 1, 1, 1])
    assert evaluation.abstention_threshold(p, labels, risk=0.2) == 0.9
    assert evaluation.abstention_threshold(p, labels, coverage=0.5) == 0.7
    assert evaluation.coverage_and_risk(p, labels, 0.7) == (1, 0.25)
    near = p + [1e-16, 0]  # as softmax may have it
    assert evaluation.coverage_and_risk(p, labels, near[0, 0]) == (1, 0.25)


def test_where_the_surest_answer_is_wrong_nothing_is_answered():
    p, labels = case([0.9, 0.8], [0, 1])
    threshold = evaluation.abstention_threshold(p, labels, risk=0.4)
    coverage, risk = evaluation.coverage_and_risk(p, labels, threshold)
    assert threshold == np.inf and coverage == 0 and np.isnan(risk)


def test_it_holds_on_other_images_about():
    """Labels drawn from the probabilities: what the first half says holds on the second."""
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(5) / 2, 20_000)
    labels = (random.random((20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    half = slice(None, 10_000), slice(10_000, None)
    found = evaluation.abstention_threshold(p[half[0]], labels[half[0]], risk=0.1)
    assert evaluation.coverage_and_risk(p[half[1]], labels[half[1]], found)[1] == pytest.approx(
        0.1, abs=0.015
    )
    found = evaluation.abstention_threshold(p[half[0]], labels[half[0]], coverage=0.7)
    assert evaluation.coverage_and_risk(p[half[1]], labels[half[1]], found)[0] == pytest.approx(
        0.7, abs=0.02
    )


def test_the_largest_error_that_a_count_allows_by_hand():
    """No error in n: (1 - p)^n = 5 %. At most one in two: 1 - p^2 = 5 %."""
    for answers, risk in ((299, 0.01), (59, 0.05), (29, 0.1)):
        assert evaluation.risk_bound(answers, 0) <= risk < evaluation.risk_bound(answers - 1, 0)
    assert evaluation.risk_bound(31, 0) == pytest.approx(1 - 0.05 ** (1 / 31))
    assert evaluation.risk_bound(2, 1) == pytest.approx(0.95**0.5)
    assert evaluation.risk_bound(2, 1, level=0.5) == pytest.approx(0.5**0.5)
    assert evaluation.risk_bound(3, 3) == evaluation.risk_bound(0, 0) == 1
    exact = scipy.stats.binomtest(4, 45).proportion_ci(0.9, method="exact")  # 5 % on each side
    assert evaluation.risk_bound(45, 4) == pytest.approx(exact.high)
    for wrong in ({"errors": 4}, {"errors": -1}, {"answers": 2.5}, {"level": 1.5}):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be "):
            evaluation.risk_bound(**{"answers": 3, "errors": 1} | wrong)


def test_images_that_are_too_few_to_show_an_error_are_said():
    p, labels = case([0.9, 0.6, 0.8, 0.7, 0.65], [1, 0, 1, 0, 1])
    assert Evidence.of(p, labels, 0.65) == (5, 4, 1)
    assert Evidence.of(p, labels, np.inf) == (5, 0, 0)
    doubt = Evidence(60, 31, 0).doubt(0.01)
    assert doubt.startswith("60 held-out images are too few to show an error of at most 1 %: 31 of")
    assert "and 0 of these are wrong, which still allows an error of 9.2 % (upper" in doubt
    assert Evidence(60, 31, 0).doubt(0) and Evidence(60, 45, 4).doubt(0.1)
    assert not Evidence(60, 31, 0).doubt(0.1)
    assert not Evidence(5000, 1500, 300).doubt(0.2)
    assert not Evidence(60, 0, 0).doubt(0.01)  # nothing is answered, which is said otherwise
    of_one = {"wanted": "risk", "value": 0.01, "threshold": 0.87, "coverage": 0.5, "risk": 0.16}
    of_one |= {"held_out_examples": 60, "held_out_answers": 31, "held_out_errors": 0}
    assert in_words(of_one).endswith(f"16.00 % of these wrongly. {doubt}.")
    assert in_words(of_one | {"wanted": "coverage"}).endswith("16.00 % of these wrongly.")


@pytest.mark.parametrize(
    "wanted, message",
    [
        ({}, "risk or coverage must be given, one of them, got 0"),
        ({"risk": 0.1, "coverage": 0.9}, "one of them, got 2"),
        ({"risk": 1.5}, r"risk must be in \[0, 1\], got 1.5"),
        ({"coverage": -1}, r"coverage must be in \[0, 1\], got -1"),
        ({"coverage": "0.9"}, "coverage must be a number, got '0.9'"),
    ],
)
def test_bad_wishes_are_named(wanted, message):
    p, labels = case([0.9, 0.8], [1, 1])
    with pytest.raises(ValueError, match=message):
        evaluation.abstention_threshold(p, labels, **wanted)
    for threshold, shown in ((float("nan"), "nan"), ("high", "'high'"), (None, "None"), ([1], "")):
        for check in (
            lambda: evaluation.coverage_and_risk(p, labels, threshold),  # noqa: B023
            lambda: evaluation.conformal.sets(p, threshold),  # noqa: B023
        ):
            with pytest.raises(ValueError, match=f"threshold must be a number >= 0, got {shown}"):
                check()
