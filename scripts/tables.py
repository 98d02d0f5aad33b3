"""Figures as text: one model in full, or several side by side."""

import judgements

from mixmo_tf import evaluation

PERCENT = {
    "accuracy", "top5_accuracy", "coverage_at_5_risk", "disagreement", "error_disagreement",
    "double_fault",
}  # fmt: skip
TITLES = {
    "accuracy": "accuracy, %",
    "top5_accuracy": "top-5, %",
    "nll": "NLL",
    "nllc": "NLLc",
    "temperature": "temperature",
    "brier": "Brier",
    "brier_mean_over_classes": "Brier / C",
    "ece": "ECE",
    "adaptive_ece": "adaptive ECE",
    "tace": "TACE",
    "misclassification_auroc": "AUROC",
    "aurc": "AURC",
    "coverage_at_5_risk": "coverage at 5 % risk, %",
    "ratio_error": "ratio-error",
    "ratio_error_published": "ratio-error, published code's",
    "disagreement": "disagreement, %",
    "error_disagreement": "disagreement in being right, %",
    "double_fault": "double fault, %",
    "q_statistic": "Q-statistic",
    "correlation": "correlation",
    "pairwise_kl": "pairwise KL",
    "mutual_information": "mutual information",
}
SIDE_BY_SIDE = (
    "accuracy", "top5_accuracy", "nll", "nllc", "brier", "ece", "tace", "misclassification_auroc",
    "aurc", "ratio_error",
)  # fmt: skip


def of_one(judged):
    """Every figure of a model, a line each, the ensemble beside its members."""
    num_members = judged.member_logits.shape[1]
    what = "model" if len(judged.files) > 1 else "member"
    lines = [heading(judged)]
    lines += [
        f"  model {i}: {file}" for i, file in enumerate(judged.files) if len(judged.files) > 1
    ]
    columns = ["ensemble", *(f"{what} {i}" for i in range(num_members))]
    cells = [["", *columns]]
    for name in evaluation.KEYS:
        values = [judged.figures[name], *judged.figures[f"member_{name}"]]
        cells.append([TITLES[name], *(written(name, value) for value in values)])
    lines += aligned(cells if num_members > 1 else [line[:2] for line in cells[1:]])
    if num_members > 1:
        lines.append(f"Between the {what}s:")
        between = evaluation.DIVERSITY_KEYS
        lines += aligned([[TITLES[name], written(name, judged.figures[name])] for name in between])
    lines += _undefined([judged]) + _temperatures([judged])
    return "\n".join(lines)


def of_several(judged):
    """A line per model, and one per group of runs that differ in their seed alone."""
    titles = ["", *(TITLES[name] for name in SIDE_BY_SIDE)]
    cells = [titles]
    for each in judged:
        cells.append([each.name, *(written(name, each.figures.get(name)) for name in SIDE_BY_SIDE)])
    lines = [heading(judged[0]), *aligned(cells)]
    if groups := judgements.twins(judged):
        lines.append(
            "Mean ± standard deviation of runs that differ in their seed alone; the ratio-error is "
            "of the errors of all of them:"
        )
        lines += aligned([titles, *map(_of_group, groups)])
    lines += _undefined(judged, SIDE_BY_SIDE) + _temperatures(judged)
    return "\n".join(lines)


def _undefined(judged, names=TITLES):
    """Why a figure is shown as –, a line for each."""
    lines = []
    for each in judged:
        for key, reason in each.figures.get("undefined", {}).items():
            if (name := key.removeprefix("member_")) in names:
                lines.append(f"{TITLES[name].removesuffix(', %')} –: {reason}.")
    return list(dict.fromkeys(lines))


def _temperatures(judged):
    """What temperatures are fitted on; for several judgements that differ, a line for each."""
    if len({each.fitted_on for each in judged}) == 1:
        return [f"Temperatures fitted on {judged[0].fitted_on}."]
    return [f"Temperatures of {each.name} fitted on {each.fitted_on}." for each in judged]


def _of_group(group):
    cells = [f"{len(group)} runs: {group[0].name}, …"]
    for name in SIDE_BY_SIDE:
        spread = judgements.mean_and_std(group, name)
        if name == "ratio_error":
            spread = [evaluation.pooled_ratio_error([each.figures for each in group])]
        cells.append(" ± ".join(written(name, value) for value in spread) if spread else "–")
    return cells


def heading(judged):
    return (
        f"{judged.images.dataset}, {judged.images.split}: {len(judged.labels):,} images; "
        f"the ensemble is the mean of {judged.ensemble}"
    )


def written(name, value):
    if value is None:
        return "–"
    return f"{100 * value:.2f}" if name in PERCENT else f"{value:.4f}"


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
