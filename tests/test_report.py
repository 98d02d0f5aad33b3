import json
import time

import numpy as np
import pytest
from scipy.special import softmax

from mixmo_tf import evaluation

NAMES = {  # our names by those of the reference
    "accuracy": "accuracy",
    "top5_accuracy": "top5_accuracy",
    "nll": "nll",
    "brier_sum_over_classes": "brier",
    "brier_mean_over_classes": "brier_mean_over_classes",
    "ece_15": "ece",
    "tace_15_1e-3": "tace",
    "misclassification_auroc": "misclassification_auroc",
    "reported_diversity_ratioerrors": "ratio_error",
    "member_accuracy": "member_accuracy",
    "nll_after_temperature": "nllc",
}


@pytest.mark.parametrize("num_members", [2, 3])
def test_agrees_with_the_published_code(reference, num_members):
    published = reference(f"metrics_m{num_members}")
    labels = published["labels"]
    together = evaluation.ensemble_logits(published["member_logits"])
    np.testing.assert_allclose(together, published["ensemble_logits"], atol=1e-6)
    temperature = evaluation.fit_temperature(together, labels)
    assert temperature == pytest.approx(float(published["temperature"]), abs=1e-3)
    figures = evaluation.report(published["member_logits"], labels)
    figures["nllc"] = evaluation.nll(together / temperature, labels)
    for theirs, ours in NAMES.items():
        np.testing.assert_allclose(figures[ours], published[theirs], atol=1e-6, err_msg=ours)


def random_case(num_examples, num_members, num_classes):
    random = np.random.default_rng(0)
    labels = random.integers(0, num_classes, num_examples)
    logits = 2 * random.normal(size=(num_examples, num_members, num_classes))
    logits[np.arange(num_examples), :, labels] += 3
    return logits.astype(np.float32), labels


def test_ten_thousand_examples_take_seconds():
    logits, labels = random_case(10_000, 2, 200)
    start = time.process_time()
    evaluation.report(logits, labels)
    seconds = time.process_time() - start
    print(f"{seconds:.1f} processor seconds")
    assert seconds < 10  # 5 s on two cores


def test_the_ensemble_averages_what_it_is_told_to():
    logits, labels = random_case(200, 2, 4)
    on_probabilities = evaluation.report(logits, labels, ensemble="probabilities")
    mean = softmax(logits.astype(np.float64), axis=2).mean(axis=1)
    assert on_probabilities["brier"] == pytest.approx(evaluation.brier(mean, labels))
    assert on_probabilities["brier"] != evaluation.report(logits, labels)["brier"]
    with pytest.raises(ValueError, match="ensemble must be one of logits, probabilities"):
        evaluation.report(logits, labels, ensemble="votes")


def test_temperatures_come_from_held_out_examples():
    logits, labels = random_case(300, 2, 4)
    held_out = 2 * logits[:200], labels[:200]
    figures = evaluation.report(logits, labels, held_out=held_out)
    together = evaluation.ensemble_logits(held_out[0])
    temperature = evaluation.fit_temperature(together, held_out[1])
    assert figures["temperature"] == temperature
    expected = evaluation.nll(evaluation.ensemble_logits(logits) / temperature, labels)
    assert figures["nllc"] == pytest.approx(expected)
    of_member = evaluation.fit_temperature(held_out[0][:, 1], held_out[1])
    assert figures["member_temperature"][1] == of_member


def test_one_member_has_no_diversity():
    logits, labels = random_case(100, 1, 4)
    figures = evaluation.report(logits, labels)
    assert set(figures) == {*evaluation.KEYS, *(f"member_{name}" for name in evaluation.KEYS)}
    assert figures["member_accuracy"] == [figures["accuracy"]]


def test_identical_members():
    logits, labels = random_case(100, 1, 4)
    figures = evaluation.report(np.repeat(logits, 2, axis=1), labels)
    for name in ("ratio_error", "disagreement", "pairwise_kl", "mutual_information"):
        assert figures[name] == pytest.approx(0, abs=1e-12)
    assert figures["q_statistic"] == figures["correlation"] == pytest.approx(1)
    assert figures["double_fault"] == pytest.approx(1 - figures["accuracy"])


def test_members_without_shared_errors():
    labels = np.zeros(4, int)
    right = np.array([[1, 0], [0, 1], [1, 1], [1, 1]])
    logits = np.where(right[..., None] == np.array([1, 0]), 2.0, 0.0)  # (4, 2, 2)
    figures = evaluation.report(logits, labels)
    assert figures["double_fault"] == 0 and figures["disagreement"] == 0.5
    assert figures["ratio_error"] == 1 and figures["q_statistic"] == -1
    assert figures["correlation"] == pytest.approx((0 - 1 / 16) / (3 / 16))


@pytest.mark.parametrize("right", [True, False])
def test_what_is_not_defined_is_none(right):
    """All right, or all wrong; a class that is absent; and one example, which has no halves."""
    logits = np.tile(np.array([3.0, 0.0, 0.0]), (5, 2, 1))
    labels = np.full(5, 0 if right else 1)
    figures = evaluation.report(logits, labels)
    undefined = {"misclassification_auroc", "q_statistic", "correlation"}
    undefined |= {"member_misclassification_auroc"}
    assert {name for name in figures if figures[name] in (None, [None, None])} == undefined
    assert figures["accuracy"] == float(right) and figures["ratio_error"] == 0
    one = evaluation.report(logits[:1], labels[:1])
    assert one["nllc"] is None and one["nll"] == pytest.approx(figures["nll"])
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize(
    "shape, labels, message",
    [
        ((4, 3), [0, 1, 2, 0], r"member_logits must be \(N, M, C\), got \(4, 3\)"),
        ((4, 2, 3), [0, 1, 2], r"got \(4, 3\) and \(3,\)"),
        ((4, 0, 3), [0, 1, 2, 0], r"member_logits must be \(N, M, C\), got \(4, 0, 3\)"),
        ((4, 2, 3), [0, 1, 2, 3], "labels must be in 0 to 2, got 3"),
    ],
)
def test_bad_input_is_named(shape, labels, message):
    with pytest.raises(ValueError, match=message):
        evaluation.report(np.zeros(shape), np.array(labels))


def test_nan_is_named():
    logits = np.zeros((4, 2, 3))
    logits[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match="member_logits of example 2 are not finite"):
        evaluation.report(logits, np.zeros(4, int))
