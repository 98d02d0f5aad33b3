"""The same picture for a dark page."""

from typing import TYPE_CHECKING

from mixmo_tf.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF = {  # what the inks and the paper become
    style.INK: "#eeeeee",
    style.MUTED: "#aaaaaa",
    style.GRID: "#444444",
    style.PAPER: "#1c1c1e",
}
_TEXT = _OF | {"#0072b2": "#4aa3df"}  # small letters need more contrast than lines


def on_dark(figure: "Figure") -> "Figure":
    """Changes a picture of this package to light ink on dark paper; gives it back.

    What shows data keeps its colour: it stands out from both.
    """
    from matplotlib.collections import Collection
    from matplotlib.colors import to_hex
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    def changed(colour, new=_OF):
        return new.get(to_hex(colour), colour)

    for axes in figure.axes:
        axes.tick_params(which="both", colors=_OF[style.MUTED], labelcolor=_OF[style.INK])
        axes.tick_params(which="both", grid_color=_OF[style.GRID])
    for artist in figure.findobj():
        if isinstance(artist, Text):
            artist.set_color(changed(artist.get_color(), _TEXT))
        elif isinstance(artist, Line2D):
            artist.set_color(changed(artist.get_color()))
        elif isinstance(artist, Patch) and artist.get_facecolor()[3]:
            face, edge = artist.get_facecolor(), artist.get_edgecolor()
            artist.set(facecolor=changed(face), edgecolor=changed(edge))
        elif isinstance(artist, Patch):
            artist.set_edgecolor(changed(artist.get_edgecolor()))
        elif isinstance(artist, Collection) and len(artist.get_edgecolor()):
            artist.set_edgecolor([changed(each) for each in artist.get_edgecolor()])
    return figure
