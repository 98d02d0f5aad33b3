"""Evaluations as text: one model in full, or several side by side."""

from collections.abc import Sequence

from mixmo_tf.evaluation import conformal
from mixmo_tf.evaluation.metrics import (
    BETWEEN,
    CALIBRATED,
    MEMBER,
    METRICS,
    OF_ONE,
    SIDE_BY_SIDE,
    heading,
    meaning,
    over_runs,
    written,
)
from mixmo_tf.experiments import abstention, images, run_flags, shift_tables
from mixmo_tf.experiments.evaluations import Evaluation
from mixmo_tf.experiments.tables import Table


def text(evaluations: Sequence[Evaluation]) -> str:
    """One Evaluation in full, or several side by side."""
    found = [*tables(evaluations), *shift_tables.tables(evaluations)]
    return "\n".join(line for table in found for line in table.lines())


def tables(evaluations: Sequence[Evaluation]) -> list[Table]:
    """One Evaluation in full, or several side by side; on these images alone."""
    return _of_several(evaluations) if len(evaluations) > 1 else _of_one(*evaluations)


def runs_by_seed(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Those of runs that differ in their seed alone: lists of two Evaluations or more.

    A run that was extended differs from one that had all its epochs from the start.
    """
    groups = {}
    for each in evaluations:
        of_run = images.flags_of_run(each.files[0])
        if len(each.files) > 1 or "--seed" not in of_run:
            continue
        seed = of_run.pop("--seed")
        lines = run_flags.defining([f"{name}={of_run[name]}" for name in sorted(of_run)])
        is_run = (each.files[0] / run_flags.NAME).is_file()
        extensions = run_flags.extensions(images.folder_of_run(each.files[0]))
        key = "model.keras" if is_run else each.files[0].name, *extensions, *lines
        groups.setdefault(key, []).append((seed, each))
    return [
        [each for _, each in group]
        for group in groups.values()
        if len(group) > 1 and len(dict(group)) == len(group)
    ]


def _of_one(evaluation):
    """Every metric of a model, the ensemble beside its members; and those between members."""
    num_members = evaluation.member_logits.shape[1]
    what = "model" if len(evaluation.files) > 1 else "member"
    several = [f"  model {i}: {file}" for i, file in enumerate(evaluation.files)]
    columns = ["", "ensemble", *(f"{what} {i}" for i in range(num_members))]
    keys = [*OF_ONE, *CALIBRATED] if evaluation.held_out else OF_ONE
    rows = []
    for key in keys:
        values = [evaluation.metrics[key], *evaluation.metrics[MEMBER + key]]
        rows.append([heading(key), *(written(key, value) for value in values)])
    of_one = Table(
        _what(evaluation),
        rows if num_members > 1 else [row[:2] for row in rows],
        columns if num_members > 1 else None,
        first="metric",
        above=several if len(several) > 1 else (),
        meanings=[meaning(key) for key in keys],
        sortable=False,
    )
    found = [of_one]
    if num_members > 1:
        keys = [key for key in BETWEEN if METRICS[key].title]
        rows = [[heading(key), written(key, evaluation.metrics[key])] for key in keys]
        meanings = [meaning(key) for key in keys]
        between = Table(
            f"Between the {what}s:", rows, first="metric", meanings=meanings, sortable=False
        )
        found.append(between)
    notes = _undefined([evaluation]) + _temperatures([evaluation])
    if evaluation.held_out:
        notes.append(
            f"Sets of {100 * conformal.COVERAGE:g} % calibrated on {evaluation.fitted_on}."
        )
    notes += map(abstention.in_words, evaluation.abstention)
    found[-1] = found[-1]._replace(notes=notes)
    return found


def _of_several(evaluations):
    """A row per model, and one per group of runs that differ in their seed alone."""
    titles = ["", *map(heading, SIDE_BY_SIDE)]
    rows = []
    for each in evaluations:
        rows.append([each.name, *(written(key, each.metrics.get(key)) for key in SIDE_BY_SIDE)])
    found = [Table(_what(evaluations[0]), rows, titles, first="model")]
    if groups := runs_by_seed(evaluations):
        title = (
            "Mean ± standard deviation of runs that differ in their seed alone; the ratio-error is "
            "of the errors of all of them:"
        )
        found.append(Table(title, list(map(_of_group, groups)), titles, first="runs"))
    notes = _undefined(evaluations, SIDE_BY_SIDE) + _temperatures(evaluations)
    for each in evaluations:
        notes += [f"{each.name}: {abstention.in_words(found)}" for found in each.abstention]
    found[-1] = found[-1]._replace(notes=notes)
    return [*found, *_paired(evaluations[1:])]


def _paired(evaluations):
    """Those that were tested against another one, a table of a row each, if any was."""
    tested = [each for each in evaluations if each.paired]
    if not tested:
        return []
    against = tested[0].paired["against"]
    titles = [
        "accuracy, difference in %",
        "only this right",
        "only the other right",
        "McNemar p",
        "NLL, difference",
        "95 % interval",
    ]
    rows = []
    for each in tested:
        test = each.paired
        low, high = (written("nll", test[f"nll_difference_{end}"]) for end in ("low", "high"))
        rows.append([
            each.name,
            f"{100 * test['accuracy_difference']:+.2f}",
            str(test["only_this_right"]),
            str(test["only_other_right"]),
            f"{test['mcnemar_p']:.2g}",
            f"{test['nll_difference']:+.4f}",
            f"{low} to {high}",
        ])  # fmt: skip
    title = (
        f"Against {against} on the same images, by McNemar's exact test and a bootstrap interval:"
    )
    return [Table(title, rows, ["", *titles], first="model")]


def _undefined(evaluations, keys=METRICS):
    """Why a metric is shown as –, a line for each."""
    lines = []
    for each in evaluations:
        for name, reason in each.metrics.get("undefined", {}).items():
            if (key := name.removeprefix(MEMBER)) in keys:
                lines.append(f"{METRICS[key].title} –: {reason}.")
    return list(dict.fromkeys(lines))


def _temperatures(evaluations):
    """What temperatures are fitted on; of several that differ, a line for each."""
    if len({each.fitted_on for each in evaluations}) == 1:
        return [f"Temperatures fitted on {evaluations[0].fitted_on}."]
    return [f"Temperatures of {each.name} fitted on {each.fitted_on}." for each in evaluations]


def _of_group(group):
    runs = [each.metrics for each in group]
    values = [written(key, *over_runs(runs, key)) for key in SIDE_BY_SIDE]
    return [f"{len(group)} runs: {group[0].name}, …", *values]


def _what(evaluation):
    dataset, split = evaluation.images[:2]
    what = "predictions that were kept" if dataset == images.UNKNOWN else f"{dataset}, {split}"
    number = f"{len(evaluation.labels):,} images"
    return f"{what}: {number}; the ensemble is the mean of {evaluation.ensemble}"
