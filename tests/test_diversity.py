import numpy as np
import pytest

from mixmo_tf import evaluation

RIGHT = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 0], [0, 0]])  # of two members on six images


def predictions(right):
    labels = np.arange(len(right)) % 3
    return np.where(right == 1, labels[:, None], 3), labels


def test_ratio_error_by_hand():
    predicted, labels = predictions(RIGHT)
    assert evaluation.ratio_error(predicted, labels) == pytest.approx((3 / 6) / (2 / 6))


def test_without_shared_errors_the_ratio_is_not_defined():
    """Five single errors of 360: the most diverse pair, which the published rule puts at 0.028."""
    right = np.ones((360, 2), int)
    right[:5, 0] = 0
    predicted, labels = predictions(right)
    assert np.isnan(evaluation.ratio_error(predicted, labels))
    assert evaluation.ratio_error_published(predicted, labels) == pytest.approx(10 / 360)
    right[0, 1] = 0
    predicted, labels = predictions(right)
    for measure in (evaluation.ratio_error, evaluation.ratio_error_published):
        assert measure(predicted, labels) == pytest.approx(4)
    assert np.isnan(evaluation.ratio_error(*predictions(np.ones((1, 2), int))))


def test_of_several_pairs_those_that_share_an_error_count():
    """Members 0 and 1 share two errors of five; neither shares one with member 2, wrong once."""
    right = np.insert(RIGHT, 2, 1, axis=1)
    right[0, 2] = 0
    predicted, labels = predictions(right)
    assert evaluation.ratio_error(predicted, labels) == pytest.approx(3 / 2)
    published = evaluation.ratio_error_published(predicted, labels)
    assert published == pytest.approx((3 / 2 + 2 * (3 + 1) / 6 + 2 * (4 + 1) / 6) / 3)
    both, one = evaluation.error_counts(predicted, labels)
    assert both.tolist() == [2, 0, 0] and one.tolist() == [3, 4, 5]


@pytest.mark.parametrize("right", [[[0, 0]], [[1, 1], [0, 0]]])
def test_members_that_err_together(right):
    assert evaluation.ratio_error(*predictions(np.array(right))) == 0


@pytest.mark.parametrize("num_members", [2, 3])
def test_agrees_with_the_reference(reference, num_members):
    published = reference(f"metrics_m{num_members}")
    predicted = published["member_logits"].argmax(axis=2)
    for measure in (evaluation.ratio_error, evaluation.ratio_error_published):
        ours = measure(predicted, published["labels"])
        assert ours == pytest.approx(float(published["reported_diversity_ratioerrors"]), abs=1e-6)


def test_every_measure_by_hand():
    """Both right 1, the first alone 2, the second alone 1, none 2, of six."""
    predicted, labels = predictions(RIGHT)
    assert evaluation.error_disagreement(predicted, labels) == pytest.approx(3 / 6)
    assert evaluation.disagreement(predicted, labels) == pytest.approx(3 / 6)
    predicted[3, 0] = 4  # both are wrong there, now on different classes
    assert evaluation.error_disagreement(predicted, labels) == pytest.approx(3 / 6)
    assert evaluation.disagreement(predicted, labels) == pytest.approx(4 / 6)
    three = np.stack([predicted[:, 0], predicted[:, 1], predicted[:, 0]], axis=1)
    assert evaluation.disagreement(three, labels) == pytest.approx((4 / 6 + 0 + 4 / 6) / 3)
    predicted, labels = predictions(RIGHT)
    assert evaluation.double_fault(predicted, labels) == pytest.approx(2 / 6)
    assert evaluation.q_statistic(predicted, labels) == pytest.approx((2 - 2) / (2 + 2))
    assert evaluation.correlation(predicted, labels) == 0
    predicted, labels = predictions(RIGHT[:4])  # 1, 1, 1, 1
    assert evaluation.q_statistic(predicted, labels) == 0
    predicted, labels = predictions(RIGHT[[0, 0, 1, 2, 3]])  # 2, 1, 1, 1
    assert evaluation.q_statistic(predicted, labels) == pytest.approx((2 - 1) / (2 + 1))
    assert evaluation.correlation(predicted, labels) == pytest.approx((2 - 1) / 6)


def test_correlation_is_that_of_numpy():
    random = np.random.default_rng(0)
    predicted, labels = predictions(random.integers(0, 2, (200, 3)))
    right = (predicted == labels[:, None]).T
    expected = np.corrcoef(right)[np.triu_indices(3, 1)].mean()
    assert evaluation.correlation(predicted, labels) == pytest.approx(expected)


def test_pairs_that_define_no_measure_are_left_out():
    """Member 0 is always right: the pair of 1 and 2 alone counts."""
    predicted, labels = predictions(np.insert(RIGHT, 0, 1, axis=1))
    expected = evaluation.correlation(*predictions(RIGHT))
    assert evaluation.correlation(predicted, labels) == pytest.approx(expected)
    assert np.isnan(evaluation.correlation(predicted[:, :2], labels))


def test_kl_and_mutual_information_by_hand():
    p = np.array([[[0.5, 0.5], [0.25, 0.75]]])
    ours = evaluation.pairwise_kl(np.log(p))
    there = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    back = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert ours == pytest.approx((there + back) / 2)

    def entropy(p):
        return -np.sum(p * np.log(p))

    expected = entropy(p[0].mean(axis=0)) - (entropy(p[0, 0]) + entropy(p[0, 1])) / 2
    assert evaluation.mutual_information(np.log(p)) == pytest.approx(expected)
    certain = np.array([[[0.0, -np.inf], [-np.inf, 0.0]]])  # each sure of its own class
    assert evaluation.mutual_information(certain) == pytest.approx(np.log(2))
    assert evaluation.pairwise_kl(certain) == np.inf
    with pytest.raises(ValueError, match=r"with M >= 2, got \(1, 1, 2\)"):
        evaluation.pairwise_kl(certain[:, :1])
    for measure in (evaluation.pairwise_kl, evaluation.mutual_information):
        with pytest.raises(ValueError, match="example 0 are not finite"):
            measure(np.full((1, 2, 2), np.nan))


def test_shapes_that_disagree():
    with pytest.raises(ValueError, match=r"got \(4, 1\) and \(4,\)"):
        evaluation.ratio_error(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(3,\)"):
        evaluation.ratio_error(np.zeros((4, 2)), np.zeros(3))
