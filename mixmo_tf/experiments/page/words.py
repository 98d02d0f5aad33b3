"""What came out, in sentences."""

from collections.abc import Sequence

import numpy as np

from mixmo_tf import plots
from mixmo_tf.evaluation import corruption
from mixmo_tf.evaluation.metrics import MEMBER, METRICS, heading, written
from mixmo_tf.experiments import images
from mixmo_tf.experiments.page.answers_of import Answers
from mixmo_tf.experiments.page.blocks import Tiles

_FIRST = ("accuracy", "nll", "ece", "aurc")
_MOST_WRITTEN = 3  # members whose metrics are written each
_FEW = 1000  # images up to which one of them is seen in the metrics
_RARE = 0.05  # a p below which a difference is more than chance
_EVEN = 0.005  # a difference of mean confidence and accuracy that is none


def images_in_words(answers: Answers) -> str:
    """Which images, and how many: "10,000 test images of cifar10"."""
    where, number = answers.of.images, f"{len(answers.of.labels):,}"
    if where.dataset == images.UNKNOWN:
        return f"{number} images"
    return f"{number} {where.split} images of {where.dataset}"


def tiles(answers: Answers) -> Tiles:
    """The metrics that are looked at first, the ensemble's beside its members'."""
    found, metrics = [], answers.of.metrics
    for key in _FIRST:
        of_members = [value for value in metrics[MEMBER + key] if value is not None]
        said = [written(key, value) for value in of_members]
        if len(said) > _MOST_WRITTEN:
            said = [f"{written(key, min(of_members))} to {written(key, max(of_members))}"]
        beside = f"{answers.member}s {', '.join(said)}" if answers.num_members > 1 and said else ""
        found.append((heading(key), written(key, metrics[key]), beside))
    return Tiles(found)


def of_one(answers: Answers) -> list[str]:
    """The summary of one model."""
    found = [_accuracy(answers), *_members(answers), _calibration(answers), *_selective(answers)]
    return [*found, *_classes(answers), *_shift(answers)]


def of_several(of_all: Sequence[Answers]) -> list[str]:
    """The summary of several models."""

    def place(key, best, what):
        named = {a.name: a.of.metrics[key] for a in of_all if a.of.metrics[key] is not None}
        if not named:
            return f"{METRICS[key].title} is not defined for any of them"
        first = best(named, key=named.get)
        unit = " %" if METRICS[key].form.endswith("%") else ""
        return f"{first} has {what}, {written(key, named[first])}{unit}"

    worst = min(of_all, key=lambda a: a.of.metrics["accuracy"])
    found = [
        f"{len(of_all)} models are compared on the same {images_in_words(of_all[0])}.",
        f"{place('accuracy', max, 'the highest accuracy')}; {worst.name} the lowest, "
        f"{written('accuracy', worst.of.metrics['accuracy'])} %.",
        f"{place('nll', min, 'the lowest NLL')}; {place('ece', min, 'the lowest ECE')}; "
        f"{place('aurc', min, 'the lowest AURC')}.",
    ]
    tested = [_tested(each, of_all) for each in of_all if each.of.paired]
    found += tested or ["Whether a difference is more than chance was not tested: --paired does."]
    return found + _one_image(of_all[0])


def _tested(answers, of_all):
    """What --paired says of a model's accuracy and NLL beside another's."""
    test = answers.of.paired
    against = next((each.name for each in of_all if each.of.name == test["against"]), "the first")
    points, p = 100 * test["accuracy_difference"], test["mcnemar_p"]
    more = "less" if points < 0 else "more"
    low, high = test["nll_difference_low"], test["nll_difference_high"]
    way = "higher" if low > 0 else "lower" if high < 0 else "not surely higher or lower"
    return (
        f"{answers.name} is {abs(points):.2f} points {more} accurate than {against}, which "
        f"{'is' if p < _RARE else 'may not be'} more than chance (McNemar's p {p:.2g}); its NLL "
        f"is {way}."
    )


def _accuracy(answers):
    right = int((~answers.is_wrong).sum())
    accuracy = written("accuracy", answers.of.metrics["accuracy"])
    of_images = f"Of {images_in_words(answers)}, {answers.subject} answers {right:,} right"
    return " ".join([f"{of_images}: {accuracy} %.", *_one_image(answers)])


def _listed(texts):
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _one_image(answers):
    count = len(answers.of.labels)
    if count > _FEW:
        return []
    return [f"One image is {100 / count:.2f} %: a difference of a few of them says little."]


def _members(answers):
    """The ensemble beside its members, and how these differ."""
    metrics, count, member = answers.of.metrics, answers.num_members, answers.member
    if count == 1:
        return ["It has one member, so nothing is said of diversity."]
    of_members = metrics[f"{MEMBER}accuracy"]
    gain = 100 * (metrics["accuracy"] - max(of_members))
    said = _listed([written("accuracy", each) for each in of_members])
    if count > _MOST_WRITTEN:
        low, high = (written("accuracy", end(of_members)) for end in (min, max))
        said = f"{low} to {high}"
    if abs(gain) < 0.005:
        together = f"together they are as good as the best {member}"
    else:
        more = "more" if gain > 0 else "less"
        together = f"together they have {abs(gain):.2f} points {more} than the best {member}"
    found = [f"Alone, its {member}s are right on {said} %; {together}."]
    disagreement = written("disagreement", metrics["disagreement"])
    ratio = metrics["ratio_error"]
    shared = (
        f", and for each error that both make there are {written('ratio_error', ratio)} that one "
        "of them makes alone (ratio-error)"
        if ratio is not None
        else ""
    )
    found.append(f"Two {member}s give different answers on {disagreement} % of the images{shared}.")
    return found


def _calibration(answers):
    metrics = answers.of.metrics
    confidence, accuracy = answers.confidence.mean(), metrics["accuracy"]
    gap = confidence - accuracy
    what = "about as confident as it is right"
    if abs(gap) >= _EVEN:
        what = "more confident than it is right" if gap > 0 else "less confident than it is right"
    said = (
        f"It is {what}: {100 * confidence:.2f} % confident on average, {100 * accuracy:.2f} % "
        f"right (ECE {written('ece', metrics['ece'])})."
    )
    if metrics["nllc"] is None:
        return said
    before, after = (written(key, metrics[key]) for key in ("nll", "nllc"))
    temperature = written("temperature", metrics["temperature"])
    return f"{said} A temperature of {temperature} takes its NLL from {before} to {after}."


def _selective(answers):
    metrics = answers.of.metrics
    if not answers.is_wrong.any():
        return ["No answer is wrong."]
    kept = written("risk_at_80_coverage", metrics["risk_at_80_coverage"])
    whole = f"{100 * (1 - metrics['accuracy']):.2f}"
    return [
        f"If the 20 % of the answers that are least confident are held back, {kept} % of the "
        f"others are wrong, in place of {whole} %."
    ]


def _classes(answers):
    recall = answers.by_class["class_recall"]
    there = np.flatnonzero(np.isfinite(recall))
    if len(there) < 2 or np.ptp(recall[there]) == 0:
        return []
    worst, best = there[recall[there].argmin()], there[recall[there].argmax()]
    name = answers.class_names
    said = f"The class that it answers worst is {name[worst]}, {100 * recall[worst]:.2f} % right"
    if others := np.count_nonzero(recall[there] == recall[worst]) - 1:
        said += f" as {others} more"
    matrix = answers.by_class.get("confusion_matrix")
    if matrix is not None:
        of_worst = np.zeros_like(matrix)
        of_worst[worst] = matrix[worst]
        for _, answer, count in plots.most_confused(of_worst, 1):
            times = "once" if count == 1 else f"{count} times"
            said += f", most often taken for {name[answer]} ({times})"
    said += f"; the best is {name[best]} with {100 * recall[best]:.2f} %"
    if others := np.count_nonzero(recall[there] == recall[best]) - 1:
        said += f", as have {others} more"
    return [f"{said}."]


def _shift(answers):
    found, shift = [], answers.of.shift or {}
    if on_corrupted := shift.get("corruptions"):
        accuracy = written("accuracy", on_corrupted[corruption.widest(on_corrupted)]["accuracy"])
        found.append(
            f"On corrupted images ({on_corrupted['name']}), {accuracy} % are right, as the mean "
            f"over {on_corrupted['sets_found']} sets."
        )
    if "ood" in shift:
        of_groups = [
            f"{100 * shift['ood'][group]['scores']['max_probability']['auroc']:.2f} % ({group})"
            for group in ("near", "far")
            if group in shift["ood"]
        ]
        found.append(
            "The largest probability tells images of something else from these with a mean AUROC "
            f"of {' and '.join(of_groups)}; chance is 50 %."
        )
    return found
