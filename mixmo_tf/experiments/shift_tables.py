"""Figures on corrupted images, and on images of something else, as text."""

from mixmo_tf.data.corruptions import BENCHMARK, NAMES, SEVERITIES
from mixmo_tf.evaluation.corruption import FIGURES
from mixmo_tf.evaluation.metrics import MEMBER, heading, written
from mixmo_tf.experiments.ood import GROUPS
from mixmo_tf.experiments.tables import aligned

_MEANS = {
    "mean_over_15": "mean over 15",
    "mean_over_19": "mean over 19",
    "mean_over_found": "mean over those found",
    "pool": "pool of all images",
}
_OOD = {
    "auroc": "AUROC",
    "fpr_at_95_tpr": "FPR@95",
    "aupr_in": "AUPR-in",
    "aupr_out": "AUPR-out",
}
_SCORES = {
    "max_probability": "largest probability",
    "max_logit": "largest mean logit",
    "energy": "energy",
    "entropy": "entropy",
    "mutual_information": "mutual information",
}


def lines(evaluations: list) -> list[str]:
    """The tables of an Evaluation, if it has any; of several the means, a line for each model."""
    shifts = {each.name: each.shift for each in evaluations if each.shift}
    if len(evaluations) > 1:
        return _side_by_side(shifts)
    found = []
    for shift in shifts.values():
        found += _corruptions(shift["corruptions"]) if "corruptions" in shift else []
        found += _ood(shift["ood"]) if "ood" in shift else []
    return found


def _side_by_side(shifts):
    """The last mean over corrupted images that is whole, and AUROC, near and far."""
    said = []
    on_corrupted = {
        name: each["corruptions"] for name, each in shifts.items() if "corruptions" in each
    }
    for mean in ("mean_over_19", "mean_over_15", "mean_over_found"):
        if on_corrupted and all(each[mean] for each in on_corrupted.values()):
            first = next(iter(on_corrupted.values()))
            sets = f"{first['sets_found']} sets of {first['examples']:,} images"
            title = f"Corrupted images, {first['name']}, {_MEANS[mean]}; of {sets}"
            said += [title, *_note(first)]
            cells = [["", *map(heading, FIGURES)]]
            cells += [[name, *_figures(each[mean])] for name, each in on_corrupted.items()]
            said += aligned(cells)
            break
    on_others = {name: each["ood"] for name, each in shifts.items() if "ood" in each}
    for group in GROUPS if on_others else ():
        cells = [["", *_SCORES.values()]]
        for name, each in on_others.items():
            of_scores = each.get(group, {}).get("scores", {})
            cells.append(
                [name, *(_percent(of_scores.get(score, {}).get("auroc")) for score in _SCORES)]
            )
        if any(group in each for each in on_others.values()):
            said += [f"Out of distribution, {group}, mean AUROC in % by score", *aligned(cells)]
    return said


def _corruptions(found):
    """The accuracy of each set and each corruption's means; then the means over all."""
    severities = list(found["per_severity"])
    names = [name for name in NAMES if name in found["sets"]]
    title = (
        f"Corrupted images, {found['name']}: {found['sets_found']} sets of "
        f"{found['examples']:,} images; the ensemble's accuracy by severity, %, and its means"
    )
    said = [title, *_note(found)]
    cells = [["", *severities, *map(heading, FIGURES)]]
    for name in names:
        of_severity = [_accuracy(found["sets"][name].get(severity)) for severity in severities]
        cells.append([_named(name), *of_severity, *_figures(found["per_corruption"][name])])
    of_severity = [_accuracy(found["per_severity"][severity]) for severity in severities]
    cells.append(["all of these", *of_severity, *_figures(found["mean_over_found"])])
    said += aligned(cells)
    members = range(len(found["pool"][f"{MEMBER}accuracy"]))
    members = members if len(members) > 1 else ()
    cells = [["", "ensemble", *(f"member {i}" for i in members)]]
    whole = [key for key in _MEANS if found[key]]
    if found["mean_over_15"] or found["mean_over_19"]:
        whole.remove("mean_over_found")  # which is one of these, or of a part that nobody asked for
    for mean in whole:
        for key in FIGURES:
            of_members = found[mean][MEMBER + key]
            values = [found[mean][key], *(of_members[i] for i in members)]
            cells.append([f"{_MEANS[mean]}: {heading(key)}", *(written(key, v) for v in values)])
    if found.get("mce") is not None:
        values = [found["mce"], *(found[f"{MEMBER}mce"][i] for i in members)]
        cells.append(["mCE, of AlexNet's error, %", *(f"{100 * value:.2f}" for value in values)])
    said += aligned(cells)
    if found["sets_missing"]:
        said.append(f"Not there: {_listed(found['sets_missing'])}.")
    for key, reason in found.get("undefined", {}).items():
        said.append(f"{_MEANS.get(key, 'mCE')} –: {reason}.")
    return said


def _ood(found):
    """The figures of each set by score, and the means over near and over far sets."""
    images = dict.fromkeys(each["images"] for each in found["sets"])
    what = f" ({found['protocol']})" if found["protocol"] else ""
    said = [
        f"Out of distribution{what}, which is the positive class; in %, the ensemble's, and the "
        f"members' AUROC. Images: {'; '.join(images)}"
    ]
    members = range(len(found["sets"][0]["member_scores"]))
    cells = [["", *_OOD.values(), *(f"member {i}" for i in members)]]
    for each in found["sets"]:
        cells += _rows(f"{each['group']} {each['dataset']}, {each['split']}", each, members)
    for group in GROUPS:
        if group in found:
            cells += _rows(f"{group}, mean", found[group], members)
    said += aligned(cells)
    if found["missing"]:
        said.append(f"Not there: {', '.join(found['missing'])}.")
    return said


def _rows(title, of_set, members):
    """A line for each score."""
    rows = []
    for score, figures in of_set["scores"].items():
        of_members = [of_set["member_scores"][i].get(score, {}).get("auroc") for i in members]
        values = [*(figures[key] for key in _OOD), *of_members]
        rows.append([f"{title}: {_SCORES[score]}", *map(_percent, values)])
    return rows


def _listed(missing):
    """Missing sets by corruption: a name alone where all five severities are missing."""
    by_name = {}
    for name, severity in missing:
        by_name.setdefault(name, []).append(severity)
    return ", ".join(
        _named(name) + ("" if len(found) == len(SEVERITIES) else f" {' '.join(map(str, found))}")
        for name, found in by_name.items()
    )


def _note(found):
    return [f"They are {found['note']}."] if found["note"] else []


def _percent(value):
    return "–" if value is None else f"{100 * value:.2f}"


def _named(name):
    return name.replace("_", " ") + ("" if name in BENCHMARK else " (extra)")


def _accuracy(figures):
    return written("accuracy", figures and figures["accuracy"])


def _figures(figures):
    return [written(key, figures[key]) for key in FIGURES]
