import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import evaluation

RIGHT = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 0], [0, 0]])  # of two members on six images


def predictions(right):
    labels = np.arange(len(right)) % 3
    return np.where(right == 1, labels[:, None], 3), labels


def test_ratio_error_by_hand():
    predicted, labels = predictions(RIGHT)
    assert evaluation.ratio_error(predicted, labels) == pytest.approx((3 / 6) / (2 / 6))


def test_no_shared_errors():
    predicted, labels = predictions(np.array([[1, 1], [1, 0], [0, 1], [1, 1]]))
    assert evaluation.ratio_error(predicted, labels) == pytest.approx(2 * 2 / 4)


@pytest.mark.parametrize("right", [[[1, 1]], [[0, 0]], [[1, 1], [0, 0]]])
def test_members_that_err_together(right):
    assert evaluation.ratio_error(*predictions(np.array(right))) == 0


@pytest.mark.parametrize("num_members", [2, 3])
def test_agrees_with_the_reference(reference, num_members):
    published = reference(f"metrics_m{num_members}")
    predicted = published["member_logits"].argmax(axis=2)
    ours = evaluation.ratio_error(predicted, published["labels"])
    assert ours == pytest.approx(float(published["reported_diversity_ratioerrors"]), abs=1e-6)


def test_the_metric_sums_up_batches():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 50)
    predicted = random.integers(0, 3, (50, 4))
    metric = evaluation.RatioError(4)
    for start in range(0, 50, 20):
        part = slice(start, start + 20)
        metric.update_state(tf.constant(labels[part]), tf.constant(predicted[part]))
    assert float(metric.result()) == pytest.approx(evaluation.ratio_error(predicted, labels), 1e-5)
    metric.reset_state()
    weights = np.concatenate([np.ones(30), np.zeros(20)])
    metric.update_state(tf.constant(labels), tf.constant(predicted), weights)
    expected = evaluation.ratio_error(predicted[:30], labels[:30])
    assert float(metric.result()) == pytest.approx(expected, 1e-5)


def test_shapes_that_disagree():
    with pytest.raises(ValueError, match=r"got \(4, 1\) and \(4,\)"):
        evaluation.ratio_error(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(3,\)"):
        evaluation.ratio_error(np.zeros((4, 2)), np.zeros(3))
