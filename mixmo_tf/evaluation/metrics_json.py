"""metrics.json: the figures of a model, or a list of those of several, on disk.

`schema` says what the keys mean:

- 1, or no schema: `ratio_error` was what `ratio_error_published` is, and `disagreement` what
  `error_disagreement` is.
- 2: the keys of `figures.KEYS`, `DIVERSITY_KEYS` and `PAIR_KEYS`; no NaN and no Infinity.
"""

import json
import math
import pathlib

from mixmo_tf import paths, strict_json

SCHEMA = 2
_RENAMED = {"ratio_error": "ratio_error_published", "disagreement": "error_disagreement"}
_CLOSE = {"rel_tol": 1e-5, "abs_tol": 1e-9}  # Keras sums up in float32


def text(figures):
    """What metrics.json says.

    Args:
        figures: dict by name, or a list of such dicts.

    Returns:
        str, strict JSON.
    """
    if isinstance(figures, list):
        return strict_json.dumps([{"schema": SCHEMA, **of_one} for of_one in figures])
    return strict_json.dumps({"schema": SCHEMA, **figures})


def read_metrics(path):
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
        content = json.loads(paths.content(file), parse_constant=lambda name: None)
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error})") from None
    several = content if isinstance(content, list) else [content]
    if not all(isinstance(figures, dict) for figures in several):
        raise ValueError(f"{file} is damaged (it holds no figures by name)")
    several = [_today(figures, file) for figures in several]
    return several if isinstance(content, list) else several[0]


def _today(figures, file):
    schema = figures.get("schema", 1)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ValueError(f"{file} has schema {schema}, and this version reads up to {SCHEMA}")
    if schema == SCHEMA:
        return figures
    figures = {_RENAMED.get(name, name): value for name, value in figures.items()}
    if "ratio_error_published" in figures:
        figures |= _errors(figures)
    return {"schema": SCHEMA, **figures}


def _errors(figures):
    """`ratio_error`, and the counts behind it, where the figures of two members tell them.

    Of e errors of the two, b shared: one of them alone was wrong on e − 2·b images. The ratio was
    (e − 2·b) / b, or 2·e / N where b = 0.
    """
    ratio, examples = figures["ratio_error_published"], figures.get("examples")
    accuracies = figures.get("member_accuracy") or ()
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
