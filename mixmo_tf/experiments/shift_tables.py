"""Metrics on corrupted images, and on images of something else, as tables."""

import os

from mixmo_tf import data
from mixmo_tf.data import image_folder
from mixmo_tf.data.corruptions import BENCHMARK, NAMES, SEVERITIES
from mixmo_tf.evaluation.corruption import KEYS
from mixmo_tf.evaluation.metrics import MEMBER, heading, written
from mixmo_tf.experiments.ood import GROUPS
from mixmo_tf.experiments.tables import Table

_MEANS = {
    "mean_over_15": "mean over 15",
    "mean_over_19": "mean over 19",
    "mean_over_found": "mean over those found",
    "pool": "pool of all images",
}
_MEANING = (
    "Over 15: the sets of the benchmark's corruptions; over 19: with the extra ones; the pool: "
    "all images of all sets as one, of which only the ECE differs from that of a mean."
)
_OOD = {
    "auroc": "AUROC",
    "fpr_at_95_tpr": "FPR@95",
    "aupr_in": "AUPR-in",
    "aupr_out": "AUPR-out",
}
SCORES = {
    "max_probability": "largest probability",
    "max_logit": "largest mean logit",
    "energy": "energy",
    "entropy": "entropy",
    "mutual_information": "mutual information",
}


def tables(evaluations: list) -> list[Table]:
    """Those of an Evaluation, if it has any; of several the means, a row for each model."""
    shifts = {each.name: each.shift for each in evaluations if each.shift}
    if len(evaluations) > 1:
        return _side_by_side(shifts)
    found = []
    for shift in shifts.values():
        found += corruptions(shift["corruptions"]) if "corruptions" in shift else []
        found += ood(shift["ood"]) if "ood" in shift else []
    return found


def corruptions(found: dict) -> list[Table]:
    """The accuracy of each set and each corruption's means; then the means over all."""
    severities = list(found["per_severity"])
    names = [name for name in NAMES if name in found["sets"]]
    members = range(len(found["pool"][f"{MEMBER}accuracy"]))
    members = members if len(members) > 1 else ()
    title = (
        f"Corrupted images, {found['name']}: {found['sets_found']} sets of "
        f"{found['examples']:,} images; {_whose(members)}accuracy by severity, %, and its means"
    )
    rows = []
    for name in names:
        of_severity = [_accuracy(found["sets"][name].get(severity)) for severity in severities]
        rows.append([_named(name), *of_severity, *_metrics(found["per_corruption"][name])])
    of_severity = [_accuracy(found["per_severity"][severity]) for severity in severities]
    of_all = ["all of these", *of_severity, *_metrics(found["mean_over_found"])]
    head = ["", *severities, *map(heading, KEYS)]
    each = Table(title, rows, head, first="corruption", above=_note(found), foot=[of_all])
    whole = [key for key in _MEANS if found[key]]
    if found["mean_over_15"] or found["mean_over_19"]:
        whole.remove("mean_over_found")  # which is one of these, or of a part that nobody asked for
    rows = []
    for mean in whole:
        for key in KEYS:
            of_members = found[mean][MEMBER + key]
            values = [found[mean][key], *(of_members[i] for i in members)]
            rows.append([f"{_MEANS[mean]}: {heading(key)}", *(written(key, v) for v in values)])
    if found.get("mce") is not None:
        values = [found["mce"], *(found[f"{MEMBER}mce"][i] for i in members)]
        rows.append(["mCE, of AlexNet's error, %", *(f"{100 * value:.2f}" for value in values)])
    notes = [_MEANING]
    if found["sets_missing"]:
        notes.append(f"Not there: {_listed(found['sets_missing'])}.")
    for key, reason in found.get("undefined", {}).items():
        notes.append(f"{_MEANS.get(key, 'mCE')} –: {reason}.")
    head = ["", "ensemble" if members else "model", *(f"member {i}" for i in members)]
    means = Table("Means over these sets", rows, head, "mean", notes=notes, sortable=False)
    return [each, means]


def ood(found: dict) -> list[Table]:
    """The metrics of each set by score, and the means over near and over far sets."""
    images = dict.fromkeys(each["images"] for each in found["sets"])
    what = f" ({found['protocol']})" if found["protocol"] else ""
    members = range(len(found["sets"][0]["member_scores"]))
    members = members if len(members) > 1 else ()
    of_members = ", and the members' AUROC" if members else ""
    title = f"Out of distribution{what}: {_whose(members)}metrics in %{of_members}"
    above = [f"The positive class is what is out of distribution. Images: {'; '.join(images)}."]
    rows = []
    for each in found["sets"]:
        name = _without_path(each["dataset"])
        rows += _rows(f"{each['group']} {name}, {each['split']}", each, members)
    for group in GROUPS:
        if sum(each["group"] == group for each in found["sets"]) > 1:  # else it is that of the set
            rows += _rows(f"{group}, mean", found[group], members)
    missing = [f"Not there: {', '.join(found['missing'])}."] if found["missing"] else []
    head = ["", *_OOD.values(), *(f"member {i}" for i in members)]
    return [Table(title, rows, head, first="images and score", above=above, notes=missing)]


def _side_by_side(shifts):
    """The last mean over corrupted images that is whole, and AUROC, near and far."""
    of_all = []
    on_corrupted = {
        name: each["corruptions"] for name, each in shifts.items() if "corruptions" in each
    }
    for mean in ("mean_over_19", "mean_over_15", "mean_over_found"):
        if on_corrupted and all(each[mean] for each in on_corrupted.values()):
            first = next(iter(on_corrupted.values()))
            sets = f"{first['sets_found']} sets of {first['examples']:,} images"
            title = f"Corrupted images, {first['name']}, {_MEANS[mean]}; of {sets}"
            rows = [[name, *_metrics(each[mean])] for name, each in on_corrupted.items()]
            head = ["", *map(heading, KEYS)]
            of_all.append(Table(title, rows, head, first="model", above=_note(first)))
            break
    on_others = {name: each["ood"] for name, each in shifts.items() if "ood" in each}
    for group in GROUPS if on_others else ():
        rows = []
        for name, each in on_others.items():
            of_scores = each.get(group, {}).get("scores", {})
            rows.append(
                [name, *(_percent(of_scores.get(score, {}).get("auroc")) for score in SCORES)]
            )
        if any(group in each for each in on_others.values()):
            title = f"Out of distribution, {group}, mean AUROC in % by score"
            of_all.append(Table(title, rows, ["", *SCORES.values()], first="model"))
    return of_all


def _rows(title, of_set, members):
    """A line for each score."""
    rows = []
    for score, metrics in of_set["scores"].items():
        of_members = [of_set["member_scores"][i].get(score, {}).get("auroc") for i in members]
        values = [*(metrics[key] for key in _OOD), *of_members]
        rows.append([f"{title}: {SCORES[score]}", *map(_percent, values)])
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


def _whose(members):
    return "the ensemble's " if members else ""


def _without_path(dataset):
    """A dataset's name, but of an image folder's path the end alone: tables are narrow."""
    return image_folder.PREFIX + os.path.basename(dataset) if data.is_folder(dataset) else dataset


def _note(found):
    return [f"They are {found['note']}."] if found["note"] else []


def _percent(value):
    return "–" if value is None else f"{100 * value:.2f}"


def _named(name):
    return name.replace("_", " ") + ("" if name in BENCHMARK else " (extra)")


def _accuracy(metrics):
    return written("accuracy", metrics and metrics["accuracy"])


def _metrics(metrics):
    return [written(key, metrics[key]) for key in KEYS]
