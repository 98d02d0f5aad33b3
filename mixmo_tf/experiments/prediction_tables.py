"""Predictions as text: a table for the shell, CSV, or JSON."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from mixmo_tf import paths, strict_json
from mixmo_tf.experiments.tables import aligned

_DECIDED = ["confidence", "accepted", "set"]


class Answer(NamedTuple):
    """A class, and how probable it is."""

    label: int
    name: str
    probability: float


class Decided(NamedTuple):
    """What an exported file decides of an image, see `evaluation.decision`."""

    confidence: float
    accepted: bool
    classes: tuple[str, ...]  # the names of those in the image's set


class Prediction(NamedTuple):
    """What a model says of an image file."""

    file: str
    classes: tuple[Answer, ...] = ()  # as many as `top`, the most probable first
    members: tuple[Answer, ...] = ()  # what each says; none of one member, or if it is not told
    decided: Decided | None = None  # by a file that --calibrate wrote
    problem: str | None = None  # what the file is, such as "damaged"; then there is nothing else


def table(predictions: Sequence[Prediction]) -> str:
    """A line per file, of Predictions of one model."""
    top, num_members = _sizes(predictions)
    titles = ["", "class", "probability"]
    titles += [f"{title} {i}" for i in range(2, top + 1) for title in titles[1:3]]
    titles += [f"member {i}" for i in range(num_members)]
    decides = any(each.decided for each in predictions)
    titles += _DECIDED if decides else []
    titles += ["problem"] if any(each.problem for each in predictions) else []
    cells = [titles]
    for each in predictions:
        line = [paths.printable(each.file)]
        for answer in each.classes:
            line += [answer.name, _rounded(answer)]
        line += [f"{answer.name} {_rounded(answer)}" for answer in each.members]
        if each.decided:
            confidence, accepted, _ = each.decided
            line += [f"{confidence:.4f}", "yes" if accepted else "no", _set(each.decided)]
        if each.problem:
            line += [""] * (len(titles) - 2) + [each.problem]
        cells.append(line + [""] * (len(titles) - len(line)))
    return "\n".join(line.rstrip() for line in aligned(cells))


def as_csv(predictions: Sequence[Prediction]) -> str:
    """The text of a CSV file, with a line for the names of the columns."""
    top, num_members = _sizes(predictions)
    kinds = [f"_{i}" if i > 1 else "" for i in range(1, top + 1)]
    columns = [f"{column}{kind}" for kind in kinds for column in ("class", "probability")]
    columns += [
        f"member_{i}_{column}" for i in range(num_members) for column in ("class", "probability")
    ]
    decides = any(each.decided for each in predictions)
    columns += _DECIDED if decides else []
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["file", *columns, "problem"])
    for each in predictions:
        values = [value for answer in (*each.classes, *each.members) for value in answer[1:]]
        if each.decided:
            values += [each.decided.confidence, int(each.decided.accepted), _set(each.decided)]
        values += [""] * (len(columns) - len(values))
        writer.writerow([each.file, *values, each.problem or ""])
    return file.getvalue()


def as_json(predictions: Sequence[Prediction]) -> str:
    """The text of a JSON file, a list of objects."""
    return strict_json.dumps(
        [
            {
                "file": each.file,
                "classes": [_named(answer) for answer in each.classes],
                "members": [_named(answer) for answer in each.members],
                **(_decided(each.decided) if each.decided else {}),
                "problem": each.problem,
            }
            for each in predictions
        ]
    )


def _sizes(predictions):
    """How many classes and members a line has."""
    top = max((len(each.classes) for each in predictions), default=0)
    return top, max((len(each.members) for each in predictions), default=0)


def _decided(decided):
    confidence, accepted, classes = decided
    return {"confidence": confidence, "accepted": accepted, "set": list(classes)}


def _set(decided):
    return "; ".join(decided.classes)


def _named(answer):
    return {"class": answer.name, "label": answer.label, "probability": answer.probability}


def _rounded(answer):
    return f"{answer.probability:.4f}"
