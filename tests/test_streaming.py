import keras
import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import evaluation

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(50, 3, 6)).astype(np.float32) * 3
LABELS = RANDOM.integers(0, 6, 50)
PROBABILITIES = tf.nn.softmax(LOGITS[:, 0]).numpy()
WEIGHTS = np.arange(50) % 4  # whole numbers, as if an image were there so often


def stream(metric, *arrays):
    for start in range(0, 50, 20):
        metric.update_state(*(tf.constant(array[start : start + 20]) for array in arrays))
    return float(metric.result())


@pytest.mark.parametrize(
    "metric, function",
    [
        (evaluation.Brier(), evaluation.brier),
        (evaluation.ExpectedCalibrationError(), evaluation.ece),
        (evaluation.ExpectedCalibrationError(num_bins=4), lambda p, y: evaluation.ece(p, y, 4)),
    ],
)
def test_metrics_of_probabilities_sum_up_batches(metric, function):
    expected = function(PROBABILITIES, LABELS)
    assert stream(metric, LABELS, PROBABILITIES) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    metric.update_state(tf.constant(LABELS)[:, None], tf.constant(PROBABILITIES), WEIGHTS / 2)
    of_weights = function(PROBABILITIES.repeat(WEIGHTS, axis=0), LABELS.repeat(WEIGHTS))
    assert float(metric.result()) == pytest.approx(of_weights, rel=1e-5)
    assert of_weights != pytest.approx(expected, rel=1e-3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert stream(again, LABELS, PROBABILITIES) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "metric, function",
    [
        (evaluation.PairwiseKL(), evaluation.pairwise_kl),
        (evaluation.MutualInformation(), evaluation.mutual_information),
    ],
)
def test_metrics_of_member_logits_sum_up_batches(metric, function):
    assert stream(metric, LOGITS.astype(np.float64)) == pytest.approx(function(LOGITS), rel=1e-5)


@pytest.mark.parametrize("measure", evaluation.MEASURES)
def test_measures_of_pairs_sum_up_batches(measure):
    predicted = LOGITS.argmax(axis=2)
    metric = evaluation.PairwiseDiversity(measure, 3)
    expected = getattr(evaluation, measure)(predicted, LABELS)
    assert stream(metric, LABELS, predicted) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    metric.update_state(tf.constant(LABELS), tf.constant(predicted), WEIGHTS / 2)
    of_weights = getattr(evaluation, measure)(
        predicted.repeat(WEIGHTS, axis=0), LABELS.repeat(WEIGHTS)
    )
    assert float(metric.result()) == pytest.approx(of_weights, rel=1e-5)
    assert of_weights != pytest.approx(expected, rel=1e-3)
    columns = LABELS[:, None].astype(np.int32)
    metric.reset_state()
    metric.update_state(tf.constant(columns), tf.argmax(LOGITS, axis=2))
    expected = getattr(evaluation, measure)(predicted, LABELS)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    counts = evaluation.error_counts(predicted, LABELS)
    assert np.array_equal(metric.error_counts(), counts)
    assert metric.name == measure and metric.get_config()["num_members"] == 3


def test_without_a_shared_error_the_ratio_is_nan():
    metric = evaluation.PairwiseDiversity("ratio_error", 2)
    assert np.isnan(metric.result())
    metric.update_state([0, 1, 1], [[0, 1], [1, 1], [0, 1]])
    assert np.isnan(metric.result())
    metric.update_state([2], [[0, 1]])
    assert float(metric.result()) == 2
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.measure == "ratio_error" and again.num_members == 2


def test_no_metric_depends_on_the_order_of_the_images():
    """With confidences and predictions that tie."""
    logits, labels = np.round(LOGITS / 2), LABELS
    predicted = logits.argmax(axis=2)
    p = tf.nn.softmax(logits[:, 0]).numpy()
    pairs = [evaluation.PairwiseDiversity(measure, 3) for measure in evaluation.MEASURES]
    cases = [
        *((metric, (labels, predicted)) for metric in pairs),
        *((m, (labels, p)) for m in (evaluation.Brier(), evaluation.ExpectedCalibrationError())),
        *((m, (logits,)) for m in (evaluation.PairwiseKL(), evaluation.MutualInformation())),
    ]
    orders = [np.argsort(labels), np.argsort(p.argmax(axis=1) == labels), RANDOM.permutation(50)]
    for metric, arrays in cases:
        expected = stream(metric, *arrays)
        for order in orders:
            metric.reset_state()
            shuffled = stream(metric, *(array[order] for array in arrays))
            assert shuffled == pytest.approx(expected, rel=1e-5), metric.name


def test_the_number_of_bins_is_a_whole_number():
    with pytest.raises(ValueError, match="num_bins must be a whole number, got 2.5"):
        evaluation.ExpectedCalibrationError(2.5)
