"""Metrics as text: one model in full, or several side by side."""

from mixmo_tf.evaluation.metrics import (
    BETWEEN,
    MEMBER,
    METRICS,
    OF_ONE,
    SIDE_BY_SIDE,
    heading,
    over_runs,
    written,
)
from mixmo_tf.experiments import evaluate as evaluations


def of_one(judged):
    """Every metric of a model, a line each, the ensemble beside its members."""
    num_members = judged.member_logits.shape[1]
    what = "model" if len(judged.files) > 1 else "member"
    lines = [_what(judged)]
    lines += [
        f"  model {i}: {file}" for i, file in enumerate(judged.files) if len(judged.files) > 1
    ]
    columns = ["ensemble", *(f"{what} {i}" for i in range(num_members))]
    cells = [["", *columns]]
    for key in OF_ONE:
        values = [judged.figures[key], *judged.figures[MEMBER + key]]
        cells.append([heading(key), *(written(key, value) for value in values)])
    lines += aligned(cells if num_members > 1 else [line[:2] for line in cells[1:]])
    if num_members > 1:
        lines.append(f"Between the {what}s:")
        shown = [key for key in BETWEEN if METRICS[key].title]
        lines += aligned([[heading(key), written(key, judged.figures[key])] for key in shown])
    lines += _undefined([judged]) + _temperatures([judged])
    return "\n".join(lines)


def of_several(judged):
    """A line per model, and one per group of runs that differ in their seed alone."""
    titles = ["", *map(heading, SIDE_BY_SIDE)]
    cells = [titles]
    for each in judged:
        cells.append([each.name, *(written(key, each.figures.get(key)) for key in SIDE_BY_SIDE)])
    lines = [_what(judged[0]), *aligned(cells)]
    if groups := evaluations.twins(judged):
        lines.append(
            "Mean ± standard deviation of runs that differ in their seed alone; the ratio-error is "
            "of the errors of all of them:"
        )
        lines += aligned([titles, *map(_of_group, groups)])
    lines += _undefined(judged, SIDE_BY_SIDE) + _temperatures(judged)
    return "\n".join(lines)


def _undefined(judged, keys=METRICS):
    """Why a metric is shown as –, a line for each."""
    lines = []
    for each in judged:
        for name, reason in each.figures.get("undefined", {}).items():
            if (key := name.removeprefix(MEMBER)) in keys:
                lines.append(f"{METRICS[key].title} –: {reason}.")
    return list(dict.fromkeys(lines))


def _temperatures(judged):
    """What temperatures are fitted on; for several judgements that differ, a line for each."""
    if len({each.fitted_on for each in judged}) == 1:
        return [f"Temperatures fitted on {judged[0].fitted_on}."]
    return [f"Temperatures of {each.name} fitted on {each.fitted_on}." for each in judged]


def _of_group(group):
    runs = [each.figures for each in group]
    values = [written(key, *over_runs(runs, key)) for key in SIDE_BY_SIDE]
    return [f"{len(group)} runs: {group[0].name}, …", *values]


def _what(judged):
    return (
        f"{judged.images.dataset}, {judged.images.split}: {len(judged.labels):,} images; "
        f"the ensemble is the mean of {judged.ensemble}"
    )


def aligned(cells):
    """Lines with columns of one width, the first to the left."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return [
        "  ".join(
            [
                f"  {line[0]:<{widths[0]}}",
                *(f"{c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in cells
    ]
