"""Which parts a page has, for one model or for several."""

import os
from collections.abc import Callable, Sequence

import numpy as np

from mixmo_tf.experiments import evaluation_tables, shift_tables
from mixmo_tf.experiments.evaluations import Evaluation, EvaluationSettings
from mixmo_tf.experiments.page import drawings, gallery, making, words
from mixmo_tf.experiments.page.answers_of import Answers, printable
from mixmo_tf.experiments.page.blocks import Cells, Gallery, Part, Words, anchored
from mixmo_tf.experiments.tables import Table


def parts(
    evaluations: Sequence[Evaluation], settings: EvaluationSettings, load_images: Callable | None
) -> tuple[str, str, list[Part]]:
    """The title of the page, the line below it, and what stands on it.

    Args:
        evaluations: one or more, on the same images.
        settings: what they were made with.
        load_images: `images.load`; None where there are only predictions.
    """
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

    Args:
        groups: a list of paths for each model; several are a deep ensemble.
    """
    paths = [os.path.abspath(file) for group in groups for file in group]
    folder = os.path.dirname(paths[0]) if len(set(paths)) == 1 else os.path.commonpath(paths)
    named = [
        " + ".join(os.path.relpath(os.path.abspath(file), folder) for file in group)
        for group in groups
    ]
    return [printable(os.path.basename(paths[0]) if name == "." else name) for name in named]


def _summary(of_all, pixels_of):
    evaluations = [each.of for each in of_all]
    if len(of_all) == 1:
        return Part("Summary", [words.tiles(of_all[0]), Words(words.of_one(of_all[0]))])
    cells = [Cells(_short(table)) for table in _printed(evaluation_tables.tables(evaluations))]
    cells += [Cells(table) for table in _printed(shift_tables.tables(evaluations))]
    drawn = [Part(each.title, [each]) for each in drawings.compared(of_all)]
    return Part(
        "Summary", [Words(words.of_several(of_all)), *cells], [*drawn, _between(of_all, pixels_of)]
    )


def _between(of_all, pixels_of):
    """The images on which models differ most, with what each says."""
    together = np.stack([each.logits for each in of_all], axis=1)
    logits = together.astype(np.float32)
    indices = gallery.most_different(together, gallery.MOST)
    title = "Where the models differ most"
    if not len(indices):
        return Part(title, [Words(["The models say the same of every image."])])
    first = of_all[0].of
    joint = Answers(first._replace(member_logits=logits, files=[None] * len(of_all)), "all")
    images = gallery.shown(joint, indices, pixels_of and pixels_of(indices))
    numbered = ", ".join(f"{i} is {each.name}" for i, each in enumerate(of_all))
    reading = (
        "The images on which what the models say differs most, by mutual information; the answer "
        f"is that of their mean. Of the models, {numbered}."
    )
    return Part(title, [Words([reading]), Gallery(images)])


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
    tables = _printed(evaluation_tables.tables([answers.of]))
    return [
        Part("Pictures", [Words(missing)] if missing else [], pictures),
        Part("Images to look at", images, gallery.parts(answers, pixels_of)),
        Part("All figures", [Cells(_short(table)) for table in tables]),
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
            missing.append(
                f"Nothing was evaluated on {what}: --{key} does, such as --{key}={flag}."
            )
            continue
        cells = [Cells(_short(table)) for table in _printed(tables(shift[key]))]
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
    return Table("Each class", rows, head, first="class", notes=notes)


def _printed(tables: list[Table]) -> list[Table]:
    """The same tables, of text that any file can hold."""

    def text(rows):
        return [list(map(printable, row)) for row in rows]

    return [
        table._replace(
            rows=text(table.rows),
            title=printable(table.title),
            above=list(map(printable, table.above)),
            notes=list(map(printable, table.notes)),
        )
        for table in tables
    ]


def _short(table: Table) -> Table:
    """The table, without the colon that its title has above other lines."""
    return table._replace(title=table.title.removesuffix(":"))
