"""Which parts a page has, for one model or for several."""

import os
import re
from collections.abc import Callable, Sequence

import numpy as np

from mixmo_tf.experiments import evaluation_tables, kept_predictions, shift_tables
from mixmo_tf.experiments.evaluations import Evaluation, EvaluationSettings
from mixmo_tf.experiments.page import comparison, drawings, gallery, making, words
from mixmo_tf.experiments.page.answers_of import Answers, printable
from mixmo_tf.experiments.page.blocks import Cells, Part, Words, anchored
from mixmo_tf.experiments.tables import Table


def parts(
    evaluations: Sequence[Evaluation], settings: EvaluationSettings, load_images: Callable | None
) -> tuple[str, str, list[Part]]:
    """The title of the page, the line below it, and what stands on it; see `writing.html`."""
    names = short_names([each.files for each in evaluations])
    of_all = [Answers(each, name) for each, name in zip(evaluations, names, strict=True)]
    pixels_of = None
    if load_images:
        examples = load_images(evaluations[0].images)

        def pixels_of(indices):
            return examples.take(indices).in_memory().images

    one = of_all[0]
    found = [_summary(of_all, pixels_of)]
    if len(of_all) == 1:
        found += _of_model(one, pixels_of)
    else:
        found += [
            Part(
                f"Model {i}: {each.name}",
                [words.tiles(each), Words(words.of_one(each))],
                _of_model(each, pixels_of),
            )
            for i, each in enumerate(of_all)
        ]
    found += [making.evaluated(of_all, settings), making.again(of_all, settings)]
    title = f"Evaluation of {one.name if len(of_all) == 1 else f'{len(of_all)} models'}"
    return title, f"On {words.images_in_words(one)}, {making.when()}", anchored(found)


def short_names(groups: Sequence[Sequence[os.PathLike]]) -> list[str]:
    """What models are called: their paths without the folder that all are in.

    Each model has a list of paths; several are a deep ensemble.
    """
    paths = [[os.path.abspath(file) for file in group] for group in groups]
    paths = [[path.removesuffix(f"/{kept_predictions.NAME}") for path in group] for group in paths]
    of_all = {path for group in paths for path in group}
    above = {os.path.dirname(path) for path in of_all}
    if len(of_all) == 1 and os.path.isfile(*of_all):  # a model.keras is known by its run
        above = set(map(os.path.dirname, above))
    folder = os.path.commonpath(above)
    return [
        printable(" + ".join(os.path.relpath(path, folder) for path in group)) for group in paths
    ]


def _summary(of_all, pixels_of):
    evaluations = [each.of for each in of_all]
    if len(of_all) == 1:
        return Part("Summary", [words.tiles(of_all[0]), Words(words.of_one(of_all[0]))])
    tables = [*evaluation_tables.tables(evaluations), *shift_tables.tables(evaluations)]
    cells = [Cells(_named(table, of_all)) for table in tables]
    blocks = [Words(words.of_several(of_all)), *cells]
    return Part("Summary", blocks, comparison.parts(of_all, pixels_of))


def _of_model(answers, pixels_of):
    """The parts of one model."""
    missing, pictures = [], []
    for picture in drawings.PICTURES:
        drawn = drawings.drawn(picture, answers)
        if not isinstance(drawn, str):
            pictures.append(Part(drawn.title, [drawn]))
        elif drawn:
            missing.append(drawn)
    images = [] if pixels_of else [Words([gallery.NO_PIXELS])]
    tables = evaluation_tables.tables([answers.of])
    return [
        Part("Pictures", [Words(missing)] if missing else [], pictures),
        Part("Images to look at", images, gallery.parts(answers, pixels_of)),
        Part("All metrics", [Cells(_named(table, [answers])) for table in tables]),
        Part("Classes", [Cells(_classes(answers))]),
        _shift(answers),
    ]


def _shift(answers):
    """Other images: what was found, or that nothing was looked for."""
    found, shift, missing = [], answers.of.shift or {}, []
    for key, title, picture, tables, flag in (
        ("corruptions", "Corrupted images", drawings.CORRUPTIONS, shift_tables.corruptions, "made"),
        ("ood", "Images of something else", drawings.OOD, shift_tables.ood, "far:svhn_cropped"),
    ):
        if key not in shift:
            what = title[0].lower() + title[1:]
            missing.append(f"Nothing was evaluated on {what}, as --{key}={flag} would.")
            continue
        cells = [Cells(_named(table, [answers])) for table in tables(shift[key])]
        found.append(Part(title, [drawings.drawn(picture, answers), *cells]))
    return Part("Under shift", [Words(missing)] if missing else [], found)


def _classes(answers):
    """A row for each class."""
    by_class, names = answers.by_class, answers.class_names
    matrix = by_class.get("confusion_matrix")
    rows = []
    for label, name in enumerate(names):
        recall, precision = (by_class[key][label] for key in ("class_recall", "class_precision"))
        shares = [f"{100 * each:.2f}" if np.isfinite(each) else "–" for each in (recall, precision)]
        row = [name, str(by_class["class_images"][label]), *shares]
        if matrix is not None:
            others = matrix[label].copy()
            others[label] = 0
            most = int(others.argmax())
            row += [names[most], str(others[most])] if others[most] else ["–", "0"]
        rows.append(row)
    head = ["", "images", "right, %", "precision, %"]
    head += ["most often taken for", "times"] if matrix is not None else []
    notes = ["Precision is the share of the answers with the class that is right."]
    return Table("Classes", rows, head, first="class", notes=notes)


def _named(table: Table, of_all: Sequence[Answers]) -> Table:
    """The table, with models called as on the page, and no colon behind its title."""
    named = sorted(((each.of.name, each.name) for each in of_all), key=lambda n: -len(n[0]))

    def text(line):
        for name, short in named:
            whole = rf"(?<!\S){re.escape(name)}(?=$|[\s:,])"
            line = re.sub(whole, lambda found, short=short: short, line)
        return printable(line)

    return table._replace(
        rows=[list(map(text, row)) for row in table.rows],
        title=text(table.title).removesuffix(":"),
        above=list(map(text, table.above)),
        notes=list(map(text, table.notes)),
    )
