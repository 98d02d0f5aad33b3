"""What pictures show: the data of their axes, by hand."""

import numpy as np
import pytest

from mixmo_tf import evaluation, plots
from mixmo_tf.training import history

TWO_MEMBERS = np.array([[0, 0], [1, 0], [0, 1], [2, 2]])  # of four images, labels 0 1 2 2


def logits_of(probabilities):
    return np.log(np.array(probabilities))


def texts(figure):
    """What is written in a figure's axes, and in its legends."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return found + [text.get_text() for box in legends if box for text in box.get_texts()]


def names_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_training_curves_have_the_mean_and_the_band_of_several_runs():
    """Epoch 1: 0.2 and 0.4, deviation √0.02; 2: 0.5 twice; 3: one run alone, and no band."""
    runs = [{"val_accuracy": [0.2, 0.5, 0.7], "loss": [np.inf, 3, 2]}, {"val_accuracy": [0.4, 0.5]}]
    figure = plots.training_curves(runs)
    loss, accuracy = figure.axes
    assert figure.get_suptitle() == "Training, mean and standard deviation of 2 runs"
    assert (loss.get_title(loc="left"), accuracy.get_title(loc="left")) == ("loss", "accuracy")
    (line,) = accuracy.lines
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata() == pytest.approx([0.3, 0.5, 0.7])
    (band,) = accuracy.collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(0.5)
    assert corners[:, 1].min() == pytest.approx(0.3 - 0.02**0.5)
    assert corners[:, 0].max() == 2  # no deviation of one run
    assert np.isnan(loss.lines[0].get_ydata()[0]) and loss.lines[0].get_linestyle() == "--"


def test_training_curves_show_members_and_leave_out_what_was_not_measured():
    run = {"epoch": [0], "val_accuracy": [0.5], "val_ratio_error": [np.nan]}
    run |= {
        "val_member_0_accuracy": [0.3],
        "val_member_1_accuracy": [0.4],
        "member_1_accuracy": [0],
    }
    (axes,) = plots.training_curves([run]).axes
    assert [line.get_ydata().tolist() for line in axes.lines[:4]] == [[0.5], [0.3], [0.4], [0]]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["ensemble", "member 0", "member 1", "dashed: mixed training images"]
    many = plots.training_curves([run | {"val_member_2_accuracy": [0.4]}])
    many.draw_without_rendering()
    (legend,) = many.legends  # of many names, beneath the panel
    assert 0 < legend.get_window_extent().y0
    assert legend.get_window_extent().y1 < many.axes[0].get_window_extent().y0
    for nothing in ([], [{}], [{"epoch": [0]}]):
        with pytest.raises(ValueError, match="^histories must have one of loss, val_loss, .*none"):
            plots.training_curves(nothing)


def test_history_is_read_as_numbers(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,loss,val_accuracy\n0,,0.25\n1,inf,0.5\n2,1")
    found = history.read(tmp_path)  # the third line has no end
    assert list(found) == ["epoch", "loss", "val_accuracy"]
    assert found["val_accuracy"].tolist() == [0.25, 0.5]
    assert np.isnan(found["loss"][0]) and found["loss"][1] == np.inf
    (tmp_path / "history.csv").unlink()
    assert history.read(tmp_path) == {}


def test_reliability_by_hand():
    """Two bins; (0.5, 1]: 0.6 wrong, 0.8 and 0.7 right: accuracy 2/3 at 0.7, so ECE 1/30."""
    p = [[0.6, 0.4], [0.8, 0.2], [0.3, 0.7]]
    counts, accuracy, confidence = evaluation.reliability_bins(p, [1, 0, 1], 2)
    assert counts.tolist() == [0, 3]
    assert np.isnan(accuracy[0]) and np.isnan(confidence[0])
    assert (accuracy[1], confidence[1]) == pytest.approx((2 / 3, 0.7))
    figure = plots.reliability_diagram(logits_of(p), [1, 0, 1], temperature=1e9, num_bins=2)
    above, below = figure.axes
    _, as_it_is, cooled = above.lines
    assert (*as_it_is.get_xdata(), *as_it_is.get_ydata()) == pytest.approx((0.7, 2 / 3))
    assert (*cooled.get_xdata(), *cooled.get_ydata()) == pytest.approx((0.5, 2 / 3))
    assert [step.get_data().values.tolist() for step in below.patches] == [[0, 3]] * 3
    assert texts(figure)[1:] == ["as it is: ECE 3.33%", "at temperature 1e+09: ECE 16.67%"]
    with pytest.raises(ValueError, match="^temperature must be > 0, got 0$"):
        plots.reliability_diagram(np.eye(2), [0, 1], temperature=0)


def test_risk_coverage_and_its_thresholds():
    """Confidences 0.9 right, 0.8 wrong, 0.6 right: risks 0, 1/2, 1/3."""
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])
    figure = plots.risk_coverage_curve({"_a": p, "b": 1 - p}, [0, 1, 0], thresholds=[0.7, 0.95])
    curve, best, other, mark = figure.axes[0].lines
    assert curve.get_xdata() == pytest.approx([1 / 3, 2 / 3, 1])
    assert curve.get_ydata() == pytest.approx([0, 1 / 2, 1 / 3])
    assert best.get_ydata() == pytest.approx([0, 0, 1 / 3])
    assert other.get_ydata() == pytest.approx([1, 1 / 2, 2 / 3])
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == pytest.approx((2 / 3, 1 / 2))
    assert texts(figure) == [
        "_a: AURC 0.2778", "b: AURC 0.7222", "_a, errors held back first",
        "confidence ≥ 0.7: 66.7% answered, 50.00% wrong",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="^probabilities must be of one model or more, got none$"):
        plots.risk_coverage_curve({}, [0])


def test_confidence_of_right_and_wrong_answers():
    p = [[0.99, 0.01], [0.51, 0.49], [0.29, 0.71], [0.01, 0.99]]
    figure = plots.confidence_histogram(p, [0, 1, 0, 1])
    right, _, wrong, _ = (step.get_data().values for step in figure.axes[0].patches)
    assert right[-1] == 1 and right.sum() == 1
    assert (wrong[20], wrong[28]) == (0.5, 0.5) and wrong.sum() == 1
    assert figure.get_suptitle() == "Confidence of right and wrong answers, AUROC 100.00%"
    assert texts(figure) == ["right: 2 answers", "wrong: 2 answers"]
    figure = plots.confidence_histogram(p, [0, 0, 1, 1])  # whose AUROC is not defined
    assert figure.get_suptitle() == "Confidence of right and wrong answers"


def test_a_confusion_matrix_is_coloured_by_the_shares_of_its_rows():
    figure = plots.confusion_matrix([[3, 1], [0, 0]], ["cat", "dog"], title="$t$")
    (axes,) = figure.axes
    assert figure.get_suptitle() == "$t$" and not figure._suptitle.get_parse_math()
    cells = axes.images[0].get_array().filled(-1)
    assert cells.tolist() == [[0.75, 0.25], [-1, -1]]
    assert [text.get_text() for text in axes.texts] == ["3", "1", "", ""]
    assert names_of(axes.xaxis) == names_of(axes.yaxis) == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("answer", "label")


def test_of_many_classes_the_most_confused_pairs():
    matrix = 9 * np.eye(21, dtype=int)
    matrix[4, 2], matrix[2, 4], matrix[20, 0] = 3, 1, 3
    assert plots.most_confused(matrix) == [(4, 2, 3), (20, 0, 3), (2, 4, 1)]
    assert plots.most_confused(matrix, 1) == [(4, 2, 3)]
    (axes,) = plots.confusion_matrix(matrix, [f"c{i}" for i in range(21)]).axes
    assert [bar.get_width() for bar in axes.patches] == [3, 3, 1]
    assert names_of(axes.yaxis) == ["c4 → c2", "c20 → c0", "c2 → c4"]
    assert [text.get_text() for text in axes.texts] == ["3 (25%)", "3 (25%)", "1 (10%)"]
    figure = plots.confusion_matrix(np.eye(21, dtype=int), ["x"] * 21)
    assert texts(figure) == ["no answer is wrong"]


@pytest.mark.parametrize(
    "matrix, names, said",
    [
        ([[1, 2]], ["a"], r"matrix must be \(C, C\), got \(1, 2\)"),
        ([[-1]], ["a"], "matrix must be >= 0, got -1"),
        ([[1]], [], "class_names must be 1 names, got 0"),
    ],
)
def test_what_is_no_confusion_matrix(matrix, names, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        plots.confusion_matrix(matrix, names)


def test_diversity_of_each_pair():
    """Members 0 and 1 differ on images 1 and 2; of three, 2 is 0 again."""
    labels = np.array([0, 1, 2, 2])
    three = np.column_stack([TWO_MEMBERS, TWO_MEMBERS[:, 0]])
    values = evaluation.pairwise("disagreement", three, labels)
    expected = [[np.nan, 0.5, 0], [0.5, np.nan, 0.5], [0, 0.5, np.nan]]
    np.testing.assert_array_equal(values, expected)
    figure = plots.diversity_heat_map(three, labels)
    assert figure.get_suptitle() == "Members' disagreement, %: mean 33.33"
    written = ["", "50.00", "0.00", "50.00", "", "50.00", "0.00", "50.00", ""]
    assert texts(figure) == written
    undefined = plots.diversity_heat_map(labels[:, None].repeat(2, 1), labels, "ratio_error")
    assert texts(undefined) == ["", "–", "–", ""]
    assert undefined.get_suptitle() == "Members' ratio-error: mean –"
    with pytest.raises(ValueError, match="^measure must be one of ratio_error, .*, got 'x'$"):
        evaluation.pairwise("x", three, labels)
    with pytest.raises(ValueError, match="^predicted must be .N, M. with M >= 2"):
        plots.diversity_heat_map(three[:, :1], labels)


def test_corruptions_and_their_means():
    accuracies = [[0.9, 0.5], [0.7, np.nan]]
    figure = plots.corruption_heat_map(accuracies, ["fog", "shot_noise"], [1, 5], clean=0.951)
    (axes,) = figure.axes
    numbers = ["90.0", "50.0", "70.0", "70.0", "–", "70.0", "80.0", "50.0", "70.0"]
    assert texts(figure) == numbers
    assert axes.images[0].get_array()[2, 2] == pytest.approx(0.7)  # of the three sets
    assert names_of(axes.yaxis) == ["fog", "shot noise", "mean"]
    assert names_of(axes.xaxis) == ["1", "5", "mean"]
    assert "95.1%" in figure.get_suptitle()
    with pytest.raises(ValueError, match=r"^accuracies must be \(1, 2\), got \(2, 2\)$"):
        plots.corruption_heat_map(accuracies, ["fog"], [1, 5])


def test_out_of_distribution_histograms_and_roc():
    """In: 1, 3; out: 0, 2. Rejecting from below: out, in, out, in."""
    figure = plots.ood_histograms([1, 3], {"far": [0, 2]}, "energy")
    left, right = figure.axes
    inside, _, outside = (step.get_data() for step in left.patches)
    assert inside.values.sum() == outside.values.sum() == 1
    assert (outside.values[0], inside.values[-1]) == (0.5, 0.5)
    assert (inside.edges[0], inside.edges[-1]) == (0, 3)
    false, true = evaluation.ood_roc([1, 3], [0, 2])
    assert list(zip(false, true, strict=True)) == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert right.lines[0].get_xdata().tolist() == false.tolist()
    assert right.lines[0].get_ydata().tolist() == true.tolist()
    assert (right.lines[1].get_xdata()[0], right.lines[1].get_ydata()[0]) == (0.5, 0.95)
    assert texts(figure)[1] == "far: 2 images, AUROC 75.00%, FPR@95 50.00% (dot)"
    assert left.get_xlabel() == "energy"
    for bad, said in (({}, "one set or more"), ({"a": [np.inf]}, "finite to be drawn")):
        with pytest.raises(ValueError, match=said):
            plots.ood_histograms([1, 3], bad)


def test_accuracy_against_cost():
    accuracies = {"plain": [0.8, 0.9], "large": [0.95], "none": []}
    figure = plots.accuracy_against_cost(accuracies, {"plain": 1e6, "large": 1e8})
    (axes,) = figure.axes
    dots = [(*bar[0].get_xdata(), *bar[0].get_ydata()) for bar in axes.containers]
    assert dots == [(1e6, pytest.approx(0.85)), (1e8, 0.95)]
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "parameters"
    assert texts(figure) == ["plain", "large"]
    (spread,) = axes.containers[0][2]
    assert np.ptp(spread.get_segments()[0][:, 1]) == pytest.approx(2 * 0.05 * 2**0.5)
    close = plots.accuracy_against_cost({"a": [0.5], "b": [0.5]}, {"a": 1, "b": 2}, "GFLOPs").axes[
        0
    ]
    assert close.get_xscale() == "linear" and close.get_xlim()[0] == 0
    places = [text.xyann[1] for text in close.texts]
    assert places[1] - places[0] > 0.06  # names of the same accuracy do not overlap
    with pytest.raises(ValueError, match="^costs must be > 0 for each method, got None for plain$"):
        plots.accuracy_against_cost(accuracies, {})


def test_mixing_masks_mix_and_count():
    """Member 0 is white, 1 black; the mask of half the images' size has 0 in its left column."""
    images = np.stack([np.ones((1, 4, 4, 1)), np.zeros((1, 4, 4, 1))], axis=1)
    mask = np.zeros((1, 2, 2, 2))
    mask[:, :, 0, 0] = mask[:, :, 1, 1] = 1
    kappa, weights = np.array([[0.6, 0.4]]), np.array([[0.7, 1.3]])
    figure = plots.mixing_masks(images, mask, kappa, weights, "cutmix")
    *_, mixed, numbers = figure.axes
    assert len(figure.axes) == 6 and mixed.get_title() == "mixed"
    pixels = np.asarray(mixed.images[0].get_array())
    assert pixels.shape == (4, 4, 3) and (pixels[:, :2] == 1).all() and (pixels[:, 2:] == 0).all()
    table = [text.get_text() for text in numbers.texts]
    assert table == ["κ", "0.60", "0.40", "realised", "0.50", "0.50", "weight", "0.70", "1.30"]
    with pytest.raises(ValueError, match=r"^drawn must be \(1, h, w, 2\), got \(1, 2, 2, 3\)$"):
        plots.mixing_masks(images, np.zeros((1, 2, 2, 3)), kappa, weights, "cutmix")
    with pytest.raises(ValueError, match=r"^weights must be \(1, 2\), got \(2, 1\)$"):
        plots.mixing_masks(images, mask, kappa, weights.T, "cutmix")


def test_encoder_filters_begin_with_those_of_member_0():
    norms = np.array([[1.0, 3.0, 0.0], [1.0, 1.0, 2.0]])
    (axes,) = plots.encoder_filters(norms, "split").axes
    assert [bar.get_height() for bar in axes.patches] == [3, 1, 0, 1, 1, 2]
    assert [bar.get_y() for bar in axes.patches[3:]] == [3, 1, 0]
    assert names_of(axes.xaxis) == ["1", "0", "2"]


def test_no_bar_runs_past_all_answers():
    """0.9 and 1.0: 0.95 ± 0.0707, which would end at 1.02; an NLL has no such end."""
    runs = [{"accuracy": 0.9, "nll": 0.9}, {"accuracy": 1.0, "nll": 1.0}]
    columns = {"accuracy": "accuracy, %", "nll": "NLL"}
    accuracy, nll = plots.methods_side_by_side({"Plain": runs}, columns).axes
    for panel, last in ((accuracy, 1), (nll, 0.95 + 0.005**0.5)):
        ((first, end),) = [
            (bar.vertices[0, 0], bar.vertices[1, 0]) for bar in panel.collections[0].get_paths()
        ]
        assert first == pytest.approx(0.95 - 0.005**0.5) and end == pytest.approx(last)


def test_the_encoders_picture_says_what_its_shares_mean():
    """Largest shares 3 of 4 and 2 of 4: 5 of 8 on average."""
    figure = plots.encoder_filters(np.array([[3.0, 2], [1, 2]]), "two filters")
    said = figure.axes[0].get_xlabel().splitlines()[1:]
    assert said[0] == "largest share of a filter: 62% on average"
    assert said[1] == "(50%: all alike, 100%: one member's own)"
