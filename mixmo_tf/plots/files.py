"""Files of the pictures that scripts draw."""

import pathlib
from typing import TYPE_CHECKING

import numpy as np

from mixmo_tf import outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".pdf", ".svg")


def check(file: pathlib.Path) -> None:
    """Checks where a picture is to go.

    Raises:
        ValueError: if it does not end with one of `ENDINGS`.
        FileExistsError: where there is a file that is no drawing by Matplotlib.
    """
    if file.suffix not in ENDINGS:
        raise ValueError(f"output must end with .png, .pdf or .svg, got {file}")
    if file.exists() and (not file.is_file() or b"matplotlib" not in file.read_bytes().lower()):
        raise FileExistsError(f"{file} exists and is no picture that a script has drawn; move it")


def pixels(figure: "Figure") -> np.ndarray:
    """What a figure shows, uint8 (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def save(figure: "Figure", file: pathlib.Path) -> None:
    """Saves a figure atomically, in place of one that a script has drawn before."""
    check(file)
    with outputs.atomically(file, replace=True) as partial:
        figure.savefig(partial)
