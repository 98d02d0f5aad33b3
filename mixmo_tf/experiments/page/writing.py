"""The page as one file: content, template and style become HTML, which is written atomically."""

import base64
import functools
import hashlib
import pathlib
import re
from collections.abc import Callable, Sequence

from mixmo_tf import outputs
from mixmo_tf.experiments.evaluations import Evaluation, EvaluationSettings
from mixmo_tf.experiments.page import content
from mixmo_tf.paths import expanded
from mixmo_tf.version import VERSION

NAME = "report.html"
_GENERATOR = "mixmo_tf report"
_MARK = f'<meta name="generator" content="{_GENERATOR}'.encode()
_HEAD = 2000  # bytes that the mark is within
_WHOLE = re.compile(r"--\w[^\s,.;]*|\d[\d.,]* %")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?( ± \d+(\.\d+)?)?|–")


def writer(settings: EvaluationSettings) -> Callable[..., pathlib.Path]:
    """What writes the page to the folder that the settings name.

    Returns:
        A function of the list of Evaluations, and of `images.load` or None, that gives the file.

    Raises:
        OSError: where it could not be written, or another report.html is there.
    """
    folder = expanded(settings.report)
    file = folder / NAME
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise NotADirectoryError(f"{above} is no folder; choose another --report")
    _check(file)

    def write(evaluations, load_images):
        page = html(evaluations, settings, load_images)
        with outputs.naming(file):
            folder.mkdir(parents=True, exist_ok=True)
        outputs.write(file, page.encode("utf-8", "backslashreplace"), replace=_check(file))
        return file

    return write


def html(
    evaluations: Sequence[Evaluation], settings: EvaluationSettings, load_images: Callable | None
) -> str:
    """The page.

    Args:
        evaluations: one or more, on the same images.
        settings: what they were made with.
        load_images: `images.load`; None where there are only predictions.
    """
    from markupsafe import Markup  # imported here: only reports need it

    title, lead, parts = content.parts(evaluations, settings, load_images)
    style, script = _template("style.css"), _template("sort.js")
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=title,
            lead=lead,
            parts=parts,
            style=Markup(style),
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
            generator=f"{_GENERATOR} {VERSION}",
        )
    )


def _check(file):
    """Whether there is a report in the file; raises FileExistsError if it is anything else."""
    if not file.exists():
        return False
    if file.is_file():
        with open(file, "rb") as opened:
            if _MARK in opened.read(_HEAD):
                return True
    raise FileExistsError(f"{file} exists and is no report of evaluate.py; move it")


@functools.cache
def _environment():
    import jinja2  # imported here: only reports need it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    environment.filters["whole"] = _whole
    environment.filters["alignments"] = _alignments
    return environment


def _template(name):
    environment = _environment()
    return environment.loader.get_source(environment, name)[0]


def _whole(text):
    """Text in which no line ends within a flag, or before %."""
    from markupsafe import Markup, escape

    return Markup(_WHOLE.sub(r'<span class="whole">\g<0></span>', str(escape(text))))


def _alignments(table):
    """Of each column but the first: "n" where all is numbers, "t" where anything is text."""
    columns = zip(*(row[1:] for row in table.rows), strict=True)
    return ["n" if all(map(_NUMBER.fullmatch, column)) else "t" for column in columns]


def _data_uri(svg):
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _hash(text):
    """As a Content-Security-Policy names what may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
