"""What was evaluated and with what, and the commands that make it again."""

import datetime
import os
import shlex
from collections.abc import Sequence

from mixmo_tf.experiments import directory, fields, images, run_flags
from mixmo_tf.experiments.evaluations import EvaluationSettings
from mixmo_tf.experiments.page.answers_of import Answers, printable
from mixmo_tf.experiments.page.blocks import Cells, Listing, Part, Words
from mixmo_tf.experiments.tables import Table
from mixmo_tf.version import VERSION

_SCRIPT = "python scripts/evaluate.py"
_SEVERAL = "model", "predictions"  # flags that are given once for each value


def when() -> str:
    """The day, and this version."""
    return f"{datetime.date.today():%Y-%m-%d}, with mixmo_tf {VERSION}"


def evaluated(of_all: Sequence[Answers], settings: EvaluationSettings) -> Part:
    """What was evaluated: images, models, versions, the day."""
    first = of_all[0].of
    where = dict(first.images.described())
    rows = []
    for answers in of_all:
        what = "predictions" if settings.predictions else "model"
        for file in answers.of.files:
            rows.append([what, str(file)])
        name = f" of {answers.name}" if len(of_all) > 1 else ""
        members = f"{answers.num_members}, the mean of their {answers.of.ensemble}"
        rows.append([f"{answers.member}s{name}", members if answers.num_members > 1 else "1"])
        rows.append([f"temperatures{name} fitted on", answers.of.fitted_on])
    unknown = images.UNKNOWN
    rows += [
        ["dataset", first.images.dataset],
        ["split", first.images.split],
        ["images", str(len(first.labels))],
        ["classes", str(first.member_logits.shape[2])],
        *([name.removeprefix("--"), str(value)] for name, value in where.items() if value),
        *([] if settings.predictions else [["precision", settings.precision or "as in training"]]),
        ["day", datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")],
        *([name, version] for name, version in directory.versions().items()),
    ]
    rows = [row for row in {row[0] + row[1]: row for row in rows}.values() if row[1] != unknown]
    table = Table("What was evaluated", _printable(rows), first="what", sortable=False)
    said = []
    if first.images.dataset == unknown:
        named = "images and classes have no names"
        said = [Words([f"There is no metrics.json beside the predictions, so the {named}."])]
    return Part("What was evaluated", [Cells(table), *said])


def again(of_all: Sequence[Answers], settings: EvaluationSettings) -> Part:
    """The commands that make the page again, and all flags."""
    said = "In the folder and with the paths of the machine that this was evaluated on:"
    lines = f"cd {shlex.quote(printable(os.getcwd()))}\n{command(settings)}"
    parts_in_it = [_of_evaluation(settings), *_of_runs(of_all)]
    return Part("Make it again", [Words([said]), Listing(lines)], parts_in_it)


def command(settings: EvaluationSettings) -> str:
    """The command line that says these settings."""
    said = [_SCRIPT]
    for field, _ in fields.of(type(settings)):
        value = getattr(settings, field.name)
        if value == field.default or value is None:
            continue
        is_several = field.metadata["repeated"]
        for each in value if is_several else [value]:
            flag = f"--{field.name}={fields.text(each)}"
            said.append(shlex.quote(printable(flag)))
    return " \\\n  ".join(said)


def _of_evaluation(settings):
    texts = fields.texts(settings)
    rows = [
        [f"--{name}", each]
        for name, text in texts.items()
        for each in (getattr(settings, name) if name in _SEVERAL else [text])
        if each not in (None, "")
    ]
    table = Table("Flags of the evaluation", _printable(rows), ["", "value"], first="flag")
    return Part("Flags of the evaluation", [Cells(table)])


def _of_runs(of_all):
    """Flags of each model's run, and the command that trains it again."""
    files = [file for answers in of_all for file in answers.of.files]
    folders = list(dict.fromkeys(filter(None, map(images.folder_of_run, files))))
    parts = []
    for folder in folders:
        flags = run_flags.read(folder)
        if "--epochs" not in flags:  # of an evaluation that was kept
            continue
        flagfile, output = folder / run_flags.NAME, f"{folder}_again"
        arguments = [f"--flagfile={flagfile}", f"--output_dir={output}"]
        train = ["python scripts/train.py", *(shlex.quote(printable(each)) for each in arguments)]
        rows = [[name, value] for name, value in sorted(flags.items())]
        table = Table(f"Flags of {folder}", _printable(rows), ["", "value"], first="flag")
        title = f"The run {folder.name}" if len(folders) > 1 else "Flags of the run"
        said = "This trains it again, into another folder:"
        blocks = [Words([said]), Listing(" \\\n  ".join(train)), Cells(table)]
        if notes := run_flags.extensions(folder):
            blocks.insert(0, Words([f"It was {note}." for note in notes]))
        parts.append(Part(printable(title), blocks))
    if not parts:
        none = "The models are in no run's folder, so the flags of their training are not known."
        parts = [Part("Flags of the run", [Words([none])])]
    return parts


def _printable(rows):
    return [list(map(printable, row)) for row in rows]
