"""Figures as pictures of a page: SVG, for light and for dark."""

import io
import re
import warnings
from typing import TYPE_CHECKING

from mixmo_tf import plots
from mixmo_tf.experiments.page.blocks import Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PIXELS = 96  # of CSS, per inch


def drawing(figure: "Figure", title: str, alt: str, reading: str) -> Drawing:
    """A Figure of this package for light and dark pages; it is changed, and its title left out."""
    figure.suptitle("")  # the page has a heading
    size = tuple(round(_PIXELS * inches) for inches in figure.get_size_inches())
    light = svg(figure)
    return Drawing(title, light, svg(plots.on_dark(figure)), size, alt, reading)


def svg(figure: "Figure") -> str:
    """A Figure as SVG whose letters stay letters, the same at every call."""
    import matplotlib

    file = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": "mixmo_tf"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's fonts have them
        figure.savefig(file, format="svg", metadata={"Date": None})
    return re.sub(r"<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL)
