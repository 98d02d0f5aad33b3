"""PICTURES: every picture of a page, with how it is read, what it shows in words, and when not."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import softmax

from mixmo_tf import plots
from mixmo_tf.data.corruptions import NAMES
from mixmo_tf.evaluation import corruption
from mixmo_tf.evaluation.metrics import written
from mixmo_tf.experiments import images
from mixmo_tf.experiments.page.answers_of import Answers
from mixmo_tf.experiments.page.blocks import Drawing
from mixmo_tf.experiments.page.svg import drawing
from mixmo_tf.plots.confusion import MOST_CELLS
from mixmo_tf.training import history

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 6  # of which the colours differ
_SCORE = "max_probability"


class Picture(NamedTuple):
    """A line of `PICTURES`."""

    title: str
    reading: str
    draw: Callable[[Answers], "Figure"]
    alt: Callable[[Answers], str]
    lacks: Callable[[Answers], str | None] = lambda answers: None  # why it is left out; "" silently


def _draw_reliability(answers):
    temperature = answers.of.metrics["temperature"]
    return plots.reliability_diagram(answers.logits, answers.of.labels, temperature)


def _reliability(answers):
    metrics = answers.of.metrics
    gap = 100 * (answers.confidence.mean() - metrics["accuracy"])
    way = "above" if gap > 0 else "below"
    return (
        f"Reliability diagram: ECE {written('ece', metrics['ece'])}; mean confidence is "
        f"{abs(gap):.2f} points {way} accuracy."
    )


def _draw_risk(answers):
    named = {"ensemble" if answers.num_members > 1 else "model": answers.probabilities}
    if answers.num_members > 1:
        of_members = np.moveaxis(answers.of.member_logits, 1, 0)[: MOST_CURVES - 1]
        for i, logits in enumerate(of_members):
            named[f"{answers.member} {i}"] = softmax(logits.astype(np.float64), axis=1)
    return plots.risk_coverage_curve(named, answers.of.labels)


def _risk(answers):
    metrics = answers.of.metrics
    kept = written("risk_at_80_coverage", metrics["risk_at_80_coverage"])
    return (
        f"Risk-coverage curves: AURC {written('aurc', metrics['aurc'])}; of all answers "
        f"{100 * (1 - metrics['accuracy']):.2f} % are wrong, of the 80 % most confident {kept} %."
    )


def _confidence(answers):
    auroc = answers.of.metrics["misclassification_auroc"]
    right, wrong = (answers.confidence[answers.is_wrong == which] for which in (False, True))
    said = [
        f"{len(values)} {name} answers with a median confidence of {100 * np.median(values):.1f} %"
        for name, values in (("right", right), ("wrong", wrong))
        if len(values)
    ]
    with_auroc = "" if auroc is None else f"; AUROC {written('misclassification_auroc', auroc)}"
    return f"Histograms of confidence: {', '.join(said)}{with_auroc}."


def _confusion(answers):
    pairs = plots.most_confused(answers.by_class["confusion_matrix"], 3)
    names = answers.class_names
    said = [f"{names[label]} taken for {names[answer]} {n} times" for label, answer, n in pairs]
    return f"Which classes are taken for which: {'; '.join(said) or 'none is taken for another'}."


def _draw_confusion(answers):
    return plots.confusion_matrix(answers.by_class["confusion_matrix"], answers.class_names)


def _has_matrix(answers, is_whole):
    """Why the matrix, or the most confused pairs, are not to be drawn; None if they are."""
    if "confusion_matrix" not in answers.by_class:
        few = "Which classes are confused is not drawn of more than 1,000 classes."
        return "" if is_whole else few
    return None if (len(answers.class_names) <= MOST_CELLS) == is_whole else ""


def _diversity(answers):
    mean = written("disagreement", answers.of.metrics["disagreement"])
    pairs = f"Heat map of the pairs of {answers.member}s"
    return f"{pairs}: two of them disagree on {mean} % on average."


def _few_pairs(answers):
    """Why diversity is not drawn: a single pair is a number."""
    if answers.num_members > 2:
        return None
    one = f"Two {answers.member}s are one pair: there is no heat map of how often they disagree."
    return "" if answers.num_members == 1 else one


def _draw_diversity(answers):
    predicted = answers.of.member_logits.argmax(axis=-1)
    return plots.diversity_heat_map(predicted, answers.of.labels)


def histories(answers: Answers) -> list[dict]:
    """What history.csv has of each of the models' runs; none of a model that is in no run."""
    folders = [images.folder_of_run(file) for file in answers.of.files]
    of_runs = [history.read(folder) for folder in dict.fromkeys(folders) if folder]
    return [each for each in of_runs if each]


def _no_history(answers):
    alone = "There is no history.csv beside the model, so the curves of training are left out."
    try:
        return None if any("loss" in each for each in histories(answers)) else alone
    except (ValueError, OSError) as error:
        return f"The curves of training are left out: {error}."


def _training(answers):
    of_runs = histories(answers)
    accuracies = [each["val_accuracy"][-1] for each in of_runs]
    epochs = max(len(each["val_accuracy"]) for each in of_runs)
    said = ", ".join(f"{100 * accuracy:.2f} %" for accuracy in accuracies)
    return f"Curves of training over {epochs} epochs; validation accuracy after the last: {said}."


def _draw_corruptions(answers):
    found = answers.of.shift["corruptions"]
    names = [name for name in NAMES if name in found["sets"]]
    severities = list(found["per_severity"])
    accuracies = [
        [found["sets"][name].get(severity, {}).get("accuracy", np.nan) for severity in severities]
        for name in names
    ]
    clean = answers.of.metrics["accuracy"]
    return plots.corruption_heat_map(accuracies, names, severities, clean)


def _corruptions(answers):
    found = answers.of.shift["corruptions"]
    mean = found[corruption.widest(found)]
    named = {name: each["accuracy"] for name, each in found["per_corruption"].items()}
    worst = min(named, key=named.get)
    return (
        f"Heat map of accuracy by corruption and severity: {100 * mean['accuracy']:.2f} % on "
        f"average, worst on {worst.replace('_', ' ')} with {100 * named[worst]:.2f} %."
    )


def _has_shift(answers, key):
    return None if answers.of.shift and key in answers.of.shift else ""


def _draw_ood(answers):
    inside, outside = answers.of.ood_scores
    sets = {name: of_set[_SCORE] for name, of_set in list(outside.items())[: MOST_CURVES - 1]}
    return plots.ood_histograms(inside[_SCORE], sets, "largest probability")


def _ood(answers):
    said = [
        f"{each['dataset']} with an AUROC of {100 * each['scores'][_SCORE]['auroc']:.2f} %"
        for each in answers.of.shift["ood"]["sets"]
    ]
    return f"Histograms and ROC curves of the largest probability: {'; '.join(said)}."


TRAINING = Picture(
    "Training",
    "Epochs go from left to right, of several runs as their mean, in a band of one standard "
    "deviation; where the validation loss rises while the training loss falls, the network "
    "overfits. Mixed images are hard: trained with them, a network has more loss, and fewer "
    "answers right, in training than in validation.",
    lambda a: plots.training_curves(histories(a)),
    _training,
    _no_history,
)
CORRUPTIONS = Picture(
    "Accuracy by corruption and severity, %",
    "A cell is the share of the answers that are right, in %. A row is a corruption, which grows "
    "more severe from left to right: the darker, the more are right.",
    _draw_corruptions,
    _corruptions,
    lambda a: _has_shift(a, "corruptions"),
)
OOD = Picture(
    "Images of something else",
    "At the left, the less the histograms overlap, the better; at the right, the closer a curve "
    "comes to the upper left corner, the better its images are told from those of the training; "
    "on the diagonal they are told by chance.",
    _draw_ood,
    _ood,
    lambda a: _has_shift(a, "ood"),
)
PICTURES = (
    Picture(
        "Risk and coverage",
        "From right to left, the least confident answers are held back, and the error among the "
        "others should fall: the lower a curve, the better confidence tells wrong answers.",
        _draw_risk,
        _risk,
    ),
    Picture(
        "Reliability",
        "A dot below the diagonal is a group of answers that are more confident than they are "
        "right, one above it of answers that could be more confident; a dot of few answers, whose "
        "number is shown below, says little.",
        _draw_reliability,
        _reliability,
    ),
    Picture(
        "Confidence of right and wrong answers",
        "The further the histograms of right and of wrong answers lie apart, the better a "
        "threshold on confidence separates them.",
        lambda a: plots.confidence_histogram(a.probabilities, a.of.labels),
        _confidence,
    ),
    Picture(
        "Which classes are confused",
        "A row is a label, a column an answer: on the diagonal stand the right answers, and a "
        "dark cell beside it is a class that is often taken for another.",
        _draw_confusion,
        _confusion,
        lambda a: _has_matrix(a, True),
    ),
    Picture(
        "Most confused classes",
        "A bar is the number of a label's images that are answered with another class, from the "
        "most frequent confusion down.",
        _draw_confusion,
        _confusion,
        lambda a: _has_matrix(a, False),
    ),
    Picture(
        "How often members disagree, %",
        "A cell is the share of the images on which two members give different answers: members "
        "that never disagree are no more than one.",
        _draw_diversity,
        _diversity,
        _few_pairs,
    ),
    TRAINING,
)


def drawn(picture: Picture, answers: Answers) -> Drawing | str:
    """A picture of one model; or the sentence, which may be empty, why it is left out."""
    lacks = picture.lacks(answers)
    if lacks is not None:
        return lacks
    title, reading = (
        text.replace("members", f"{answers.member}s") for text in (picture.title, picture.reading)
    )
    return drawing(picture.draw(answers), title, picture.alt(answers), reading)
