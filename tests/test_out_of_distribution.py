"""Out-of-distribution detection: its metrics by hand and by scikit-learn, and its scores."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from scipy.stats import entropy
from sklearn import metrics

from mixmo_tf import evaluation

NAMES = ["max_probability", "max_logit", "energy", "entropy", "mutual_information"]


@pytest.mark.parametrize(
    "scores_in, scores_out, expected",
    [
        ([3, 4, 5], [0, 1], (1, 0, 1, 1)),
        # nothing is told apart: each precision is the share of positive ones, between it and 1
        # a line down to it
        ([1, 1, 1, 1], [1, 1, 1, 1], (0.5, 1, 0.75, 0.75)),
        # in distribution are ranks 3 and 4 of 4: precision 0, 0, 1/3, 2/4
        ([0, 1], [2, 3], (0, 1, (1 / 3) / 4 + (1 / 3 + 1 / 2) / 4, (1 / 3) / 4 + 5 / 24)),
    ],
)
def test_nothing_half_and_everything_told_apart(scores_in, scores_out, expected):
    results = evaluation.ood(scores_in, scores_out)
    assert list(results) == ["auroc", "fpr_at_95_tpr", "aupr_in", "aupr_out"]
    assert tuple(results.values()) == pytest.approx(expected)


def test_by_hand():
    """Of six pairs, 0.3 wins 3, 0.5 wins 1 and ties 1. To reject both, 0.5 must be rejected too."""
    results = evaluation.ood([0.9, 0.5, 0.4], [0.5, 0.3])
    assert results["auroc"] == pytest.approx((3 + 1.5) / 6)
    assert results["fpr_at_95_tpr"] == pytest.approx(2 / 3)
    # out, by rising confidence: recall 1/2, 1/2, 1 with precision 1, 1/2, 2/4
    assert results["aupr_out"] == pytest.approx(0.5 + 0.5 * (0.5 + 0.5) / 2)
    # in, by falling confidence: recall 1/3, 2/3, 3/3 with precision 1, 2/3, 3/4
    assert results["aupr_in"] == pytest.approx((1 + (1 + 2 / 3) / 2 + (2 / 3 + 3 / 4) / 2) / 3)


def test_agrees_with_scikit_learn_on_random_scores_with_ties():
    random = np.random.default_rng(0)
    for decimals in (0, 1, 8):
        for _ in range(50):
            scores = [np.round(random.normal(i, 1, 5 + 8 * i), decimals) for i in (1, 0)]
            both, is_out = np.concatenate(scores), np.repeat([False, True], [13, 5])
            fpr, tpr, _ = metrics.roc_curve(is_out, -both, drop_intermediate=False)
            precision_in, recall_in, _ = metrics.precision_recall_curve(~is_out, both)
            precision_out, recall_out, _ = metrics.precision_recall_curve(is_out, -both)
            assert evaluation.ood(*scores) == pytest.approx(
                {
                    "auroc": metrics.roc_auc_score(is_out, -both),
                    "fpr_at_95_tpr": fpr[np.argmax(tpr >= 0.95)],
                    "aupr_in": metrics.auc(recall_in, precision_in),
                    "aupr_out": metrics.auc(recall_out, precision_out),
                },
                abs=1e-12,
            )


def test_nineteen_of_twenty_are_95_percent():
    results = evaluation.ood(np.zeros(10), np.append(np.full(19, -1.0), 1.0))
    assert results["fpr_at_95_tpr"] == 0


def test_infinite_scores_are_the_largest_and_the_smallest():
    assert evaluation.ood([np.inf, 5], [-np.inf, 4])["auroc"] == 1


@pytest.mark.parametrize(
    "scores_in, scores_out, message",
    [
        ([], [1.0], r"scores_in must be \(N,\) with N >= 1, got \(0,\)"),
        ([1.0], [[1.0]], r"scores_out must be \(N,\) with N >= 1, got \(1, 1\)"),
        ([1.0], [0.0, float("nan")], "scores_out must not be NaN, got one for image 1"),
        (["a"], [0.0], "scores_in must be an array of numbers"),
    ],
)
def test_bad_scores_are_named(scores_in, scores_out, message):
    with pytest.raises(ValueError, match=message):
        evaluation.ood(scores_in, scores_out)


def test_the_five_scores():
    random = np.random.default_rng(0)
    logits = random.normal(size=(20, 3, 4)).astype(np.float32)
    p = softmax(logits.astype(np.float64), axis=2)
    mean = logits.astype(np.float64).mean(axis=1)
    information = entropy(p.mean(axis=1), axis=1) - entropy(p, axis=2).mean(axis=1)
    for ensemble, together in {
        "logits": softmax(mean, axis=1),
        "probabilities": p.mean(axis=1),
    }.items():
        expected = [
            together.max(axis=1),
            mean.max(axis=1),
            logsumexp(mean, axis=1),
            -entropy(together, axis=1),
            -information,
        ]
        scores = evaluation.ood_scores(logits, ensemble)
        assert list(scores) == NAMES
        for name, of_images in zip(NAMES, expected, strict=True):
            np.testing.assert_allclose(scores[name], of_images, rtol=1e-9, atol=1e-13)
    assert list(evaluation.ood_scores(logits[:, :1])) == NAMES[:-1]


def test_every_score_is_larger_for_the_surer_image():
    sure, unsure = [[9.0, 0, 0], [8.0, 0, 0]], [[1.0, 0, 0], [0.0, 1, 0]]
    for name, (first, second) in evaluation.ood_scores([sure, unsure]).items():
        assert first > second, name


def test_images_that_differ_in_the_order_of_the_classes_tie():
    """A sum depends on their order by rounding."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(1, 2, 30))
    permuted = [logits[..., random.permutation(30)] for _ in range(50)]
    for name, scores in evaluation.ood_scores(np.concatenate(permuted)).items():
        assert len(set(scores)) <= 2, name  # two where the value lies where it is rounded
    alike = np.repeat(random.normal(size=(9, 1, 5)), 3, axis=1)
    assert not evaluation.ood_scores(alike)["mutual_information"].any()


def test_bad_logits_are_named():
    for message, logits in {
        r"must be \(N, M, C\), got \(2, 3\)": np.zeros((2, 3)),
        r"must be of one example or more, got \(0, 2, 3\)": np.zeros((0, 2, 3)),
        "of example 1 are not finite": np.array([[[0.0, 1]], [[np.nan, 1]]]),
    }.items():
        with pytest.raises(ValueError, match=f"member_logits {message}"):
            evaluation.ood_scores(logits)
    with pytest.raises(ValueError, match="ensemble must be one of"):
        evaluation.ood_scores(np.zeros((1, 1, 2)), "votes")
    for function in (evaluation.ensemble_logits, evaluation.pairwise_kl, evaluation.entropy_split):
        for logits, message in (
            (np.zeros((2, 3)), r"must be \(N, M, C\).*, got \(2, 3\)"),
            (np.zeros((2, 0, 3)), r"must be \(N, M, C\).*, got \(2, 0, 3\)"),
            ([[["1", "2"]] * 2], "must be an array of numbers"),
            ([[[1, 2j]] * 2], "must be an array of numbers"),
        ):
            with pytest.raises(ValueError, match=f"member_logits {message}"):
                function(logits)


def test_the_entropy_of_the_mean_is_split_in_two():
    """By hand: two sure members that differ, two that agree to be unsure, two sure and alike."""
    logits = [[[40.0, 0], [0, 40]], [[0, 0], [0, 0]], [[40, 0], [40, 0]]]
    aleatoric, epistemic = evaluation.entropy_split(logits)
    np.testing.assert_allclose(aleatoric, [0, np.log(2), 0], atol=1e-12)
    np.testing.assert_allclose(epistemic, [np.log(2), 0, 0], atol=1e-12)
    assert evaluation.mutual_information(logits) == pytest.approx(np.log(2) / 3)
