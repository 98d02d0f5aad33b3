"""What all pictures look like: inks on white paper, a title at the left, quiet axes.

A `Figure` is made without pyplot, so no setting of Matplotlib changes and no window opens.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#222222", "#666666", "#dddddd", "#ffffff"
ON_CELLS = "#000000", "#fefefe"  # of numbers in a heat map, the same on a dark page
_DPI = 120
_PAD = 0.08  # inches around the parts of a figure


def figure(width: float, height: float, title: str | None) -> "Figure":
    """An empty figure of a size in inches; its parts find their places when it is drawn."""
    from mixmo_tf.plots.in_notebooks import ShownFigure

    empty = ShownFigure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor=PAPER)
    empty.get_layout_engine().set(w_pad=_PAD, h_pad=_PAD)
    if title:
        look = {"fontsize": 11, "fontweight": "bold", "color": INK, "wrap": True}
        said = empty.suptitle(title, x=_PAD / width, ha="left", **look)
        said.set_parse_math(False)
    return empty


def plain(axes: "Axes", x: str = "", y: str = "", title: str = "", grid: str | None = "y") -> None:
    """Gives axes their labels, and takes what is no data from sight."""
    axes.set_facecolor(PAPER)
    axes.spines[:].set_color(MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED, labelsize=8, labelcolor=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)


def legend(of: "Axes | Figure", handles: list, names: list[str], **where: Any) -> None:
    """A legend with names as they stand, whatever signs are in them; a figure's is beneath it."""
    beneath = {} if hasattr(of, "set_xlabel") else {"loc": "outside lower left"}
    look = {"frameon": False, "fontsize": 8, "labelcolor": INK}
    box = of.legend(handles, names, **look, **beneath, **where)
    for text in box.get_texts():
        text.set_parse_math(False)


def percent(axis: "Axis") -> None:
    """Writes an axis of shares in per cent."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1, decimals=None, symbol="%"))


def shortened(name: str, most: int = 24) -> str:
    """A name, such as a class', in one line of at most `most` signs."""
    name = " ".join(str(name).split())
    return name if len(name) <= most else f"{name[: most - 1]}…"
