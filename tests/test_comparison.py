"""The paired test of two models: by hand, by how often it is wrong, and its interval."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm

from mixmo_tf import evaluation


def logits_of(right, margin=2.0):
    """Two classes, label 0: logits that are right, or wrong, by a margin."""
    return np.where(np.asarray(right)[:, None], [margin, 0.0], [0.0, margin])


def test_mcnemar_by_hand():
    """Of ten images on which one alone is right, eight are this one's: 2 · (45 + 10 + 1) / 1024."""
    this = logits_of([1] * 8 + [0] * 2 + [1] * 5 + [0] * 3)
    other = logits_of([0] * 8 + [1] * 2 + [1] * 5 + [0] * 3)
    labels = np.zeros(18, int)
    found = evaluation.paired(this, other, labels)
    assert (found["only_this_right"], found["only_other_right"]) == (8, 2)
    assert found["accuracy_difference"] == pytest.approx(6 / 18)
    assert found["mcnemar_p"] == pytest.approx(2 * (45 + 10 + 1) / 1024)
    assert found["nll_difference"] == pytest.approx(-6 * 2 / 18)  # 2 nats for each such image
    back = evaluation.paired(other, this, labels)
    assert back["mcnemar_p"] == found["mcnemar_p"]
    assert back["nll_difference"] == pytest.approx(-found["nll_difference"])


def test_a_model_against_itself():
    logits = logits_of([1, 0, 1])
    found = evaluation.paired(logits, logits, np.zeros(3, int))
    assert found["mcnemar_p"] == 1 and found["accuracy_difference"] == 0
    assert found["nll_difference_low"] == found["nll_difference_high"] == 0
    one = evaluation.paired(logits[:1], logits[:1], [0])
    assert one["nll_difference"] == 0 and np.isnan(one["nll_difference_low"])


def random_case(num_examples=400):
    random = np.random.default_rng(0)
    this, other = random.normal(size=(2, num_examples, 3))
    return this, other + 0.3 * this, random.integers(0, 3, num_examples)


def test_the_interval_is_that_of_a_mean():
    """Of 400 differences, about mean ± z · standard error, at any level."""
    this, other, labels = random_case()
    of_each = [-np.log(softmax(logits, axis=1)[np.arange(400), labels]) for logits in (this, other)]
    differences = of_each[0] - of_each[1]
    error = differences.std() / 20
    for level in (0.5, 0.95):
        found = evaluation.paired(this, other, labels, level=level)
        assert found["nll_difference"] == pytest.approx(differences.mean())
        z = norm.ppf(0.5 + level / 2)
        for end, sign in (("low", -1), ("high", 1)):
            expected = differences.mean() + sign * z * error
            assert found[f"nll_difference_{end}"] == pytest.approx(expected, abs=0.1 * error)


def test_it_is_the_same_every_time_and_in_every_order():
    this, other, labels = random_case()
    found = evaluation.paired(this, other, labels, resamples=500)
    assert evaluation.paired(this, other, labels, resamples=500) == found
    assert evaluation.paired(this, other, labels, resamples=500, seed=1) != found
    for order in (np.argsort(labels), np.random.default_rng(1).permutation(400)):
        shuffled = evaluation.paired(this[order], other[order], labels[order], resamples=500)
        assert shuffled == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize(
    "changed, message",
    [
        (
            {"other_logits": np.zeros((3, 2))},
            "other_logits and labels must be of the same examples",
        ),
        (
            {"other_logits": np.zeros((4, 5, 2))},
            r"other_logits must be \(N, C\), got \(4, 5, 2\); ensemble_logits\(member_logits\) ",
        ),
        ({"other_logits": np.zeros((4, 3))}, r"other_logits must be \(4, 2\), got \(4, 3\)"),
        ({"labels": [0, 0, 0, 2]}, "labels must be in 0 to 1, got 2"),
        ({"level": 1}, "level must be < 1, got 1"),
        ({"level": 0}, "level must be > 0, got 0"),
        ({"resamples": 1}, "resamples must be >= 2, got 1"),
        ({"logits": [[0, 0], [-np.inf, 0], [0, 0], [0, 0]]}, "logits of example 1 exclude its"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
    ],
)
def test_bad_input_is_named(changed, message):
    given = {"logits": np.zeros((4, 2)), "other_logits": np.zeros((4, 2)), "labels": [0] * 4}
    with pytest.raises(ValueError, match=message):
        evaluation.paired(**{**given, **changed})
