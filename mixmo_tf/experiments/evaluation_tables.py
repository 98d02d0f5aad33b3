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
    over_runs,
    written,
)
from mixmo_tf.experiments import abstention, images, run_flags, shift_tables
from mixmo_tf.experiments.evaluations import Evaluation
from mixmo_tf.experiments.tables import aligned


def text(evaluations: Sequence[Evaluation]) -> str:
    """One Evaluation in full, or several side by side."""
    of_test = _of_several(evaluations) if len(evaluations) > 1 else _of_one(*evaluations)
    return "\n".join([of_test, *shift_tables.lines(evaluations)])


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
    """Every metric of a model, a line each, the ensemble beside its members."""
    num_members = evaluation.member_logits.shape[1]
    what = "model" if len(evaluation.files) > 1 else "member"
    lines = [_what(evaluation)]
    if len(evaluation.files) > 1:
        lines += [f"  model {i}: {file}" for i, file in enumerate(evaluation.files)]
    columns = ["ensemble", *(f"{what} {i}" for i in range(num_members))]
    cells = [["", *columns]]
    for key in [*OF_ONE, *CALIBRATED] if evaluation.held_out else OF_ONE:
        values = [evaluation.metrics[key], *evaluation.metrics[MEMBER + key]]
        cells.append([heading(key), *(written(key, value) for value in values)])
    lines += aligned(cells if num_members > 1 else [line[:2] for line in cells[1:]])
    if num_members > 1:
        lines.append(f"Between the {what}s:")
        shown = [key for key in BETWEEN if METRICS[key].title]
        lines += aligned([[heading(key), written(key, evaluation.metrics[key])] for key in shown])
    lines += _undefined([evaluation]) + _temperatures([evaluation])
    if evaluation.held_out:
        lines.append(
            f"Sets of {100 * conformal.COVERAGE:g} % calibrated on {evaluation.fitted_on}."
        )
    lines += map(abstention.in_words, evaluation.abstention)
    return "\n".join(lines)


def _of_several(evaluations):
    """A line per model, and one per group of runs that differ in their seed alone."""
    titles = ["", *map(heading, SIDE_BY_SIDE)]
    cells = [titles]
    for each in evaluations:
        cells.append([each.name, *(written(key, each.metrics.get(key)) for key in SIDE_BY_SIDE)])
    lines = [_what(evaluations[0]), *aligned(cells)]
    if groups := runs_by_seed(evaluations):
        lines.append(
            "Mean ± standard deviation of runs that differ in their seed alone; the ratio-error is "
            "of the errors of all of them:"
        )
        lines += aligned([titles, *map(_of_group, groups)])
    lines += _undefined(evaluations, SIDE_BY_SIDE) + _temperatures(evaluations)
    for each in evaluations:
        lines += [f"{each.name}: {abstention.in_words(found)}" for found in each.abstention]
    lines += _paired(evaluations[1:])
    return "\n".join(lines)


def _paired(evaluations):
    """Those that were tested against another one, a line each; no line if none was."""
    tested = [each for each in evaluations if each.paired]
    if not tested:
        return []
    against = tested[0].paired["against"]
    titles = [
        "accuracy, %",
        "only this right",
        "only that right",
        "McNemar p",
        "NLL",
        "95 % interval",
    ]
    cells = [["", *titles]]
    for each in tested:
        test = each.paired
        low, high = (written("nll", test[f"nll_difference_{end}"]) for end in ("low", "high"))
        cells.append([
            each.name,
            f"{100 * test['accuracy_difference']:+.2f}",
            str(test["only_this_right"]),
            str(test["only_other_right"]),
            f"{test['mcnemar_p']:.2g}",
            f"{test['nll_difference']:+.4f}",
            f"{low} to {high}",
        ])  # fmt: skip
    return [
        f"Against {against} on the same images, by McNemar's exact test and a bootstrap interval:",
        *aligned(cells),
    ]


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
    what = f"{evaluation.images.dataset}, {evaluation.images.split}"
    number = f"{len(evaluation.labels):,} images"
    return f"{what}: {number}; the ensemble is the mean of {evaluation.ensemble}"
