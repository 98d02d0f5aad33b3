import json
import time

import numpy as np
import pytest
from scipy.special import softmax

from mixmo_tf import evaluation
from mixmo_tf.evaluation import metrics

NAMES = {  # our names by those of the reference
    "accuracy": "accuracy",
    "top5_accuracy": "top5_accuracy",
    "nll": "nll",
    "brier_sum_over_classes": "brier",
    "brier_mean_over_classes": "brier_mean_over_classes",
    "ece_15": "ece",
    "tace_15_1e-3": "tace",
    "misclassification_auroc": "misclassification_auroc",
    "reported_diversity_ratioerrors": "ratio_error_published",
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
    results = evaluation.report(published["member_logits"], labels)
    results["nllc"] = evaluation.nll(together / temperature, labels)
    for theirs, ours in NAMES.items():
        np.testing.assert_allclose(results[ours], published[theirs], atol=1e-6, err_msg=ours)


def random_case(num_examples, num_members, num_classes):
    random = np.random.default_rng(0)
    labels = random.integers(0, num_classes, num_examples)
    logits = 2 * random.normal(size=(num_examples, num_members, num_classes))
    logits[np.arange(num_examples), :, labels] += 3
    return logits.astype(np.float32), labels


def test_ten_times_the_examples_take_some_ten_times_as_long():
    """Not a hundred times, as where each is compared to each; on any machine."""
    seconds = []
    for num_examples in (1_000, 10_000):
        logits, labels = random_case(num_examples, 2, 50)
        start = time.process_time()
        evaluation.report(logits, labels)
        seconds.append(time.process_time() - start)
    print(f"{seconds[0]:.2f} and {seconds[1]:.2f} processor seconds")
    assert seconds[1] < 20 * seconds[0]


def test_the_ensemble_averages_what_it_is_told_to():
    logits, labels = random_case(200, 2, 4)
    on_probabilities = evaluation.report(logits, labels, ensemble="probabilities")
    mean = softmax(logits.astype(np.float64), axis=2).mean(axis=1)
    assert on_probabilities["brier"] == pytest.approx(evaluation.brier(mean, labels))
    assert on_probabilities["brier"] != evaluation.report(logits, labels)["brier"]
    with pytest.raises(ValueError, match="ensemble must be one of logits, probabilities"):
        evaluation.report(logits, labels, ensemble="votes")


def test_a_metric_of_every_kind_is_in_the_report():
    logits, labels = random_case(300, 2, 4)
    results = evaluation.report(logits, labels, held_out=(logits[:90], labels[:90]))
    of_one = [key for key, metric in evaluation.METRICS.items() if not metric.between]
    of_one += evaluation.CALIBRATED
    assert set(results) == {*evaluation.METRICS, *of_one, *(f"member_{key}" for key in of_one)}
    aleatoric, epistemic = evaluation.entropy_split(logits)
    assert results["aleatoric_entropy"] == pytest.approx(aleatoric.mean())
    assert results["mutual_information"] == pytest.approx(epistemic.mean())


def test_temperatures_come_from_held_out_examples():
    logits, labels = random_case(300, 2, 4)
    held_out = 2 * logits[:200], labels[:200]
    results = evaluation.report(logits, labels, held_out=held_out)
    together = evaluation.ensemble_logits(held_out[0])
    temperature = evaluation.fit_temperature(together, held_out[1])
    assert results["temperature"] == temperature
    expected = evaluation.nll(evaluation.ensemble_logits(logits) / temperature, labels)
    assert results["nllc"] == pytest.approx(expected)
    of_member = evaluation.fit_temperature(held_out[0][:, 1], held_out[1])
    assert results["member_temperature"][1] == of_member


def test_one_member_has_no_diversity():
    logits, labels = random_case(100, 1, 4)
    results = evaluation.report(logits, labels)
    keys = [key for key, metric in evaluation.METRICS.items() if not metric.between]
    assert set(results) == {*keys, *(f"member_{key}" for key in keys)}
    assert results["member_accuracy"] == [results["accuracy"]]


def test_identical_members():
    logits, labels = random_case(100, 1, 4)
    results = evaluation.report(np.repeat(logits, 2, axis=1), labels)
    for name in ("ratio_error", "disagreement", "pairwise_kl", "mutual_information"):
        assert results[name] == pytest.approx(0, abs=1e-12)
    assert results["q_statistic"] == results["correlation"] == pytest.approx(1)
    assert results["double_fault"] == pytest.approx(1 - results["accuracy"])


def test_members_without_shared_errors():
    labels = np.zeros(4, int)
    right = np.array([[1, 0], [0, 1], [1, 1], [1, 1]])
    logits = np.where(right[..., None] == np.array([1, 0]), 2.0, 0.0)  # (4, 2, 2)
    results = evaluation.report(logits, labels)
    assert results["double_fault"] == 0 and results["disagreement"] == 0.5
    assert results["ratio_error"] is None and results["ratio_error_published"] == 1
    reason = "on no example are both of two members wrong"
    assert results["undefined"]["ratio_error"] == reason
    assert (results["both_wrong"], results["one_wrong"]) == ([0], [2])
    assert results["q_statistic"] == -1
    assert results["correlation"] == pytest.approx((0 - 1 / 16) / (3 / 16))


@pytest.mark.parametrize("right", [True, False])
def test_what_is_not_defined_is_none(right):
    """All right, or all wrong; a class that is absent; and one example, which has no others."""
    logits = np.tile(np.array([3.0, 0.0, 0.0]), (5, 2, 1))
    labels = np.full(5, 0 if right else 1)
    results = evaluation.report(logits, labels)
    undefined = {"misclassification_auroc", "q_statistic", "correlation"}
    undefined |= {"member_misclassification_auroc"} | ({"ratio_error"} if right else set())
    assert set(results["undefined"]) == undefined
    assert {name for name in results if results[name] in (None, [None, None])} == undefined
    assert results["accuracy"] == float(right) and results["ratio_error_published"] == 0
    one = evaluation.report(logits[:1], labels[:1])
    assert one["nllc"] is None and one["nll"] == pytest.approx(results["nll"])
    assert one["undefined"]["member_nllc"].startswith("one example cannot be evaluated")
    json.dumps(results, allow_nan=False)


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
    message = "member_logits of example 2 are not finite in float32"
    for value in (np.nan, np.inf, -np.inf, 1e39):
        logits[2, 1, 0] = value
        with pytest.raises(ValueError, match=message):
            evaluation.report(logits, np.zeros(4, int))
        with pytest.raises(ValueError, match="held_out of example 2 are not finite"):
            evaluation.report(np.zeros((4, 2, 3)), np.zeros(4, int), held_out=(logits, [0] * 4))


def test_the_largest_logits_give_finite_metrics():
    logits, labels = random_case(30, 2, 4)
    results = evaluation.report(np.sign(logits) * np.finfo(np.float32).max, labels)
    assert 0 < results["nll"] < 1e40 and np.isfinite(results["pairwise_kl"])
    json.dumps(results, allow_nan=False)


@pytest.mark.parametrize(
    "held_out, message",
    [
        ((np.zeros((4, 3, 3)), [0] * 4), r"\(N, 2, 3\), of the same members .* got \(4, 3, 3\)"),
        ((np.zeros((4, 2, 4)), [0] * 4), r"\(N, 2, 3\), of the same members .* got \(4, 2, 4\)"),
        ((np.zeros((4, 2, 3)), [0] * 3), r"held_out and labels .* got \(4, 3\) and \(3,\)"),
        ((np.zeros((4, 2, 3)), [0, 1, 2, 3]), "labels must be in 0 to 2, got 3"),
        (np.zeros((4, 2, 3)), r"held_out must be \(member_logits, labels\), got ndarray"),
        (3, r"held_out must be \(member_logits, labels\), got int"),
        ((None, [0] * 4), r"held_out must be \(N, M, C\), got \(\)"),
        (([["a"]], [0]), "held_out must be an array of numbers"),
    ],
)
def test_held_out_images_must_be_of_the_same_members_and_classes(held_out, message):
    with pytest.raises(ValueError, match=message) as error:
        evaluation.report(np.zeros((4, 2, 3)), np.zeros(4, int), held_out=held_out)
    assert "\n" not in str(error.value)


def test_held_out_images_without_an_error_give_a_moderate_temperature():
    logits, labels = random_case(300, 2, 4)
    held_out = np.zeros((200, 2, 4))
    held_out[:, :, 0] = 5.0
    results = evaluation.report(logits, labels, held_out=(held_out, np.zeros(200, int)))
    assert results["temperature"] == pytest.approx(5 / np.log(3 * 401), rel=0.2)  # not e^-7


def tied_case():
    """Few different logits, so that confidences, members and whole examples tie."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 5, 400)
    logits = random.integers(-2, 3, (400, 3, 5)) / 2
    logits[np.arange(400), :, labels] += random.integers(0, 3, (400, 3))
    return logits, labels


@pytest.mark.parametrize("ensemble", ["logits", "probabilities"])
@pytest.mark.parametrize("held_out", [True, False])
def test_no_metric_depends_on_the_order_of_the_images(ensemble, held_out):
    logits, labels = tied_case()
    assert len(set(softmax(logits[:, 0], axis=1).max(axis=1))) < 300
    others = (logits[:90], labels[:90]) if held_out else None
    orders = [np.argsort(labels), *(np.random.default_rng(i).permutation(400) for i in range(4))]
    orders.append(np.argsort(logits.mean(axis=1).argmax(axis=1) != labels))  # first the right ones
    expected = evaluation.report(logits, labels, ensemble, others)
    for order in orders:
        if held_out:
            some = np.random.default_rng(len(order)).permutation(90)
            others = others[0][some], others[1][some]
        results = evaluation.report(logits[order], labels[order], ensemble, others)
        assert set(results) == set(expected)
        assert held_out == (set(evaluation.CALIBRATED) <= set(results))
        for name in results:
            assert results[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


def test_no_metric_of_quantised_probabilities_depends_on_the_order():
    """Multiples of 1/256, as an int8 export gives them."""
    random = np.random.default_rng(0)
    p = random.multinomial(256, random.dirichlet(np.ones(4) / 2, 600)) / 256
    labels = random.integers(0, 4, 600)
    functions = [
        evaluation.ece, evaluation.adaptive_ece, evaluation.tace, evaluation.brier,
        evaluation.accuracy, evaluation.misclassification_auroc, evaluation.aurc,
        evaluation.coverage_at_risk, lambda p, y: evaluation.coverage_at_risk(p, y, 0.7),
        evaluation.eaurc, evaluation.augrc, evaluation.risk_at_coverage,
        evaluation.classwise_ece, evaluation.balanced_accuracy,
        lambda p, y: evaluation.abstention_threshold(p, y, risk=0.3),
        lambda p, y: evaluation.abstention_threshold(p, y, coverage=0.5),
        lambda p, y: evaluation.coverage_and_risk(p, y, 0.5)[1],
        evaluation.conformal.threshold,
        lambda p, y: evaluation.conformal.coverage_and_size(p, y, 0.8, "raps")[1],
        lambda p, y: evaluation.ood(p[y > 1, 0], p[y <= 1, 1])["aupr_in"],
        lambda p, y: evaluation.top_k_accuracy(p, y, 2),
        lambda p, y: evaluation.risk_coverage(p, y)[1],
    ]  # fmt: skip
    orders = [np.argsort(labels), np.argsort(p.argmax(axis=1) == labels), random.permutation(600)]
    for function in functions:
        expected = function(p, labels)
        for order in orders:
            assert function(p[order], labels[order]) == pytest.approx(expected, rel=1e-12)


def test_ratio_errors_of_several_runs_are_pooled():
    """Two pairs; of the second no run shares an error."""
    runs = [
        {"both_wrong": [1, 0, 2], "one_wrong": [4, 9, 3]},
        {"both_wrong": [3, 0, 0], "one_wrong": [2, 7, 5]},
    ]
    assert evaluation.pooled_ratio_error(runs) == pytest.approx((6 / 4 + 8 / 2) / 2)
    assert evaluation.pooled_ratio_error(runs[:1]) == pytest.approx((4 / 1 + 3 / 2) / 2)
    assert evaluation.pooled_ratio_error([{"both_wrong": [0], "one_wrong": [5]}]) is None
    assert evaluation.pooled_ratio_error([*runs, {}]) is None
    assert evaluation.pooled_ratio_error([]) is None
    logits, labels = random_case(300, 3, 4)
    results = evaluation.report(logits, labels)
    assert evaluation.pooled_ratio_error([results]) == pytest.approx(results["ratio_error"])


def test_metrics_over_runs():
    """By hand: (0.5 + 0.8) / 2 and 0.3 / √2; a run's members count with their mean."""
    runs = [
        {"accuracy": 0.5, "member_accuracy": [0.4, 0.6], "nll": 1.0},
        {"accuracy": 0.8, "member_accuracy": [0.8, 0.6], "nll": None},
    ]
    mean, deviation = evaluation.over_runs(runs, "accuracy")
    assert (mean, deviation) == pytest.approx((0.65, 0.3 / 2**0.5))
    assert metrics.written("accuracy", mean, deviation) == "65.00 ± 21.21"
    assert evaluation.over_runs(runs, "member_accuracy") == pytest.approx((0.6, 0.2 / 2**0.5))
    assert evaluation.over_runs(runs[:1], "nll") == (1.0, None)
    for undefined in (runs, [], [{}]):
        assert evaluation.over_runs(undefined, "nll") == (None, None)
    counts = [{"both_wrong": [1], "one_wrong": [4]}, {"both_wrong": [3], "one_wrong": [2]}]
    assert evaluation.over_runs(counts, "ratio_error") == (1.5, None)
    assert metrics.written("ratio_error", 1.5, None) == "1.50"
    assert (
        metrics.written("member_nll", 0.12345) == "0.1235" and metrics.written("nll", None) == "–"
    )
    assert metrics.heading("member_accuracy") == "members' accuracy, %"
    assert metrics.heading("coverage_at_5_risk") == "coverage at 5 % risk, %"
