"""How all pictures look: nothing is clipped, no setting changes, and they can be made dark."""

import io

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from mixmo_tf import evaluation, plots
from mixmo_tf.plots import style


def clipped(figure):
    """By how many inches something is out of sight."""
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return max(-box.x0, -box.y0, box.x1 - width, box.y1 - height, 0)


def some_figures():
    """Each picture, with two members or four, a few classes or many, and signs in names."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 200, 400)
    logits = random.normal(size=(400, 4, 200)) + 5 * np.eye(200)[labels][:, None]
    mean = logits.mean(axis=1)
    p = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    names = [f"$a_{{{i}}}$ <b> class\nwith a name too long to be written {i}" for i in range(200)]
    matrix = evaluation.per_class(p, labels)["confusion_matrix"]
    epochs = np.arange(30.0)
    run = {"loss": 9 - epochs, "val_loss": 5 / (1 + epochs), "val_accuracy": epochs / 30}
    run |= {f"val_member_{i}_accuracy": epochs / (31 + i) for i in range(4)}
    accuracies = {name: random.random(3) for name in names[:12]}
    mask = np.full((2, 8, 8, 4), 0.25)
    quarter = np.full((2, 4), 0.25)
    runs = {"$x$ <i>": [{"accuracy": 0.9}, {"accuracy": 0.8}], "none": []}
    yield plots.training_curves([run, {**run, "loss": 8 - epochs}])
    yield plots.reliability_diagram(mean, labels, 1.5)
    of_bins = evaluation.reliability_bins(p, labels)
    yield plots.reliability_of_bins(dict.fromkeys(names[:5], of_bins), names[0], True)
    yield plots.risk_coverage_curve({names[0]: p, names[1]: p}, labels)
    yield plots.confidence_histogram(p, labels)
    yield plots.confusion_matrix(matrix, names)
    yield plots.confusion_matrix(matrix[:20, :20], names[:20])
    yield plots.confusion_matrix(matrix[:2, :2], names[:2])
    yield plots.diversity_heat_map(logits.argmax(axis=2), labels, "q_statistic")
    yield plots.corruption_heat_map(random.random((2, 5)), ["fog", "elastic_transform"], range(5))
    yield plots.ood_histograms(random.normal(size=99), dict.fromkeys(names[:6], mean[0]), "$s$")
    yield plots.accuracy_against_cost(accuracies, dict.fromkeys(accuracies, 5e6))
    yield plots.methods_side_by_side(runs, {"accuracy": "accuracy, %"})
    yield plots.encoder_filters(random.random((4, 16)), "split score 0.41")
    yield plots.encoder_filters(random.random((2, 300)), "split score 0.41")
    yield plots.mixing_masks(random.random((2, 4, 16, 16, 1)), mask, quarter, quarter, "linear")


def test_all_is_in_sight_and_no_setting_changes(monkeypatch):
    settings, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    for figure in some_figures():
        assert clipped(figure) < 0.02, figure.get_suptitle()
        for axes in figure.axes:
            labels = axes.get_xticklabels() + axes.get_yticklabels()
            written = axes.texts + labels if figure.get_suptitle() != "" else labels
            names = [text for text in written if "<b>" in text.get_text()]
            assert not any(text.get_parse_math() or "\n" in text.get_text() for text in names)
    assert dict(matplotlib.rcParams) == settings and matplotlib.get_backend() == backend


def test_on_a_dark_page_ink_is_light_and_data_keep_their_colour():
    predicted = np.array([[0, 0], [1, 0], [0, 1], [2, 2]])
    figure = plots.diversity_heat_map(predicted, np.array([0, 1, 2, 2]))
    (axes,) = figure.axes
    numbers = [text for text in axes.texts if text.get_text()]
    assert plots.on_dark(figure) is figure
    assert to_hex(figure.get_facecolor()) == to_hex(axes.get_facecolor()) == "#1c1c1e"
    assert axes.xaxis.label.get_color() == figure._suptitle.get_color() == "#eeeeee"
    assert [text.get_color() for text in numbers] == [style.ON_CELLS[1]] * 2
    figure = plots.on_dark(plots.reliability_diagram(np.eye(2), [0, 1]))
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours == ["#aaaaaa", "#0072b2"]
    assert figure.axes[1].get_xticklabels()[0].get_color() == "#eeeeee"


def test_a_notebook_shows_a_picture():
    """IPython asks for it, where a cell ends with a Figure that is none of pyplot's."""
    figure = plots.encoder_filters(np.ones((2, 4)), "two members")
    picture = Image.open(io.BytesIO(figure._repr_png_()))
    assert picture.size == tuple((figure.get_size_inches() * figure.dpi).astype(int))
