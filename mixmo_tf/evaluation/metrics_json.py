"""metrics.json: the metrics of a model, or a list of those of several, on disk.

What it says of a model, whether a run or evaluate.py wrote it:

- `schema`, what the keys mean:
  1, or none: `ratio_error` was what `ratio_error_published` is, and `disagreement` what
  `error_disagreement` is;
  2: the keys of `metrics.METRICS`; no NaN and no Infinity
- `dataset`, `split`, `examples`: what it was evaluated on; `ensemble`: what it averages
- metrics by their keys, of a run those that its model sums up; `undefined`, see `report`
- what the writer knows besides: of evaluate.py the keys of `EVALUATED`, of a run `parameters`,
  `epochs`, `steps`, `best`, and, where it ended early, `stopped_early`, of how many epochs and by
  which patience; and `libraries`, their versions
"""

import math
import os
import pathlib
from typing import Any

from mixmo_tf import outputs, paths, strict_json
from mixmo_tf.evaluation import classwise, reporting

SCHEMA = 2
EVALUATED = {  # what evaluate.py writes beside the metrics
    "models": "the paths of the models; several are one deep ensemble",
    "temperature_fitted_on": "the images on which temperatures are fitted, and sets calibrated",
    "class_names": "the classes, in the order of all lists by class",
    "class_images": "for each class, the number of its images",
    "class_recall": "for each class, the share of its images that are recognised: its accuracy",
    "class_precision": "for each class, the share of the answers with this class that are right",
    "confusion_matrix": "for each class, a list: how many of its images are answered with which "
    f"class; left out if there are more than {classwise.MOST_CLASSES:,} classes",
    "abstention": "with `--abstain_risk` or `--abstain_coverage`, a list. Each entry has what "
    "was `wanted` and its `value`; the `threshold` on the largest probability "
    "(`null` if none is high enough); the `coverage` and `risk` at this "
    "threshold; `held_out_coverage` and `held_out_risk`, those of the "
    "`held_out_examples` that it was found on; how many of these reach it, `held_out_answers`, "
    "and are wrong, `held_out_errors`; and `held_out_risk_bound`, the largest error that such a "
    "count still allows (Clopper and Pearson's upper bound at 95 %)",
    "paired": "with `--paired`, the model `against` which this one is tested, and what "
    "`mixmo_tf.evaluation.paired` returns",
    "corruptions": "with `--corruptions`, the metrics on corrupted images: see Under "
    "distribution shift",
    "ood": "with `--ood`, how well each score separates out-of-distribution images: "
    "see Under distribution shift",
}
_RENAMED = {"ratio_error": "ratio_error_published", "disagreement": "error_disagreement"}
_CLOSE = {"rel_tol": 1e-5, "abs_tol": 1e-9}  # Keras sums up in float32


def described(
    metrics: dict,
    *,
    dataset: str,
    split: str,
    examples: int,
    ensemble: str,
    libraries: dict,
    **more: Any,
) -> dict:
    """What metrics.json says of a model.

    Args:
        metrics: by the keys of `metrics.METRICS`.
        examples: their number.
        libraries: versions by name.
        more: what this writer knows besides, see above.
    """
    about = {"dataset": dataset, "split": split, "examples": examples, "ensemble": ensemble}
    content = {"schema": SCHEMA, **about, **metrics, **more, "libraries": libraries}
    return reporting.explained(content)


def write_metrics(file: pathlib.Path, content: dict | list, replace: bool = False) -> None:
    """Writes what `described` gives, or a list of it for several models.

    `file` may be a pipe or a device, such as /dev/stdout.

    Raises:
        OSError: if it cannot be written, or is there and not to be replaced.
    """
    outputs.write(file, strict_json.dumps(content), replace)


def read_metrics(path: str | os.PathLike) -> dict | list[dict]:
    """Reads a metrics.json of this version, or of one before, in today's keys.

    Args:
        path: of the file, or of the folder that it is in.

    Returns:
        dict by key, or a list of such dicts, as `evaluate.py` writes it for several models. What
        an older file does not tell is None.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, or of a later version.
    """
    path = pathlib.Path(path)
    file = path / "metrics.json" if path.is_dir() else path
    try:
        content = strict_json.loads(paths.content(file), parse_constant=lambda name: None)
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error})") from None
    several = content if isinstance(content, list) else [content]
    if not all(isinstance(metrics, dict) for metrics in several):
        raise ValueError(f"{file} is damaged (it holds no metrics by name)")
    several = [_today(metrics, file) for metrics in several]
    return several if isinstance(content, list) else several[0]


def _today(metrics, file):
    schema = metrics.get("schema", 1)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ValueError(f"{file} has schema {schema}, and this version reads up to {SCHEMA}")
    if schema == SCHEMA:
        return metrics
    metrics = {_RENAMED.get(name, name): value for name, value in metrics.items()}
    if "ratio_error_published" in metrics:
        metrics |= _errors(metrics)
    return {"schema": SCHEMA, **metrics}


def _errors(metrics):
    """`ratio_error`, and the counts behind it, where the metrics of two members tell them.

    Of e errors of the two, b shared: one of them alone was wrong on e − 2·b images. The ratio was
    (e − 2·b) / b, or 2·e / N where b = 0.
    """
    ratio, examples = metrics["ratio_error_published"], metrics.get("examples")
    accuracies = metrics.get("member_accuracy") or ()
    if ratio is None or not examples or len(accuracies) != 2:
        return {"ratio_error": None}
    errors = round(examples * (2 - sum(accuracies)))
    shared = round(errors / (ratio + 2))
    some = shared > 0 and math.isclose((errors - 2 * shared) / shared, ratio, **_CLOSE)
    none = math.isclose(2 * errors / examples, ratio, **_CLOSE)
    if some == none:
        return {"ratio_error": None}
    shared = shared if some else 0
    counts = {"both_wrong": [shared], "one_wrong": [errors - 2 * shared]}
    return {"ratio_error": ratio if some else None, **counts}
