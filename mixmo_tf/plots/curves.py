"""How a training went, epoch by epoch; of several runs their mean and spread."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEMBER = re.compile(r"(val_)?member_(\d+)_accuracy")
_PANELS = {"loss": "loss", "accuracy": "accuracy", "ratio": "ratio-error", "rate": "learning rate"}
_KEYS = {  # column of history.csv: panel, name, whether it is of training
    "loss": ("loss", "training", True),
    "val_loss": ("loss", "validation", False),
    "val_accuracy": ("accuracy", "ensemble", False),
    "val_ratio_error": ("ratio", "validation", False),
    "learning_rate": ("rate", "learning rate", False),
}
_INSIDE = 4  # names up to which they find room among the lines; more stand beneath
_MARKED = 20  # epochs up to which each is a dot too


def training_curves(
    histories: Sequence[Mapping[str, ArrayLike]], title: str | None = None
) -> "Figure":
    """Loss, accuracy, ratio-error and learning rate over the epochs, those that there are.

    Args:
        histories: of each run, float (epochs,) by the columns of history.csv, such as `loss` and
            `val_member_0_accuracy`; NaN where something was not measured. The runs may differ in
            their epochs: from several, each epoch has the mean of those that have it, and a band
            of one standard deviation on either side.
        title: str; what the picture shows if None.

    Returns:
        Figure, whose epochs count from 1.

    Raises:
        ValueError: if there is no run, or none of the columns.
    """
    from matplotlib.ticker import MaxNLocator

    lines = _lines(histories)
    if not lines:
        raise ValueError(f"histories must have one of {', '.join(_KEYS)}, got none of them")
    runs = f", mean and standard deviation of {len(histories)} runs" if len(histories) > 1 else ""
    panels = [key for key in _PANELS if any(key == panel for panel, *_ in lines.values())]
    rows = (len(panels) + 1) // 2
    wide = min(len(panels), 2)
    figure = style.figure(4.6 * wide, 0.4 + 2.9 * rows, title or f"Training{runs}")
    grid = figure.add_gridspec(rows, wide)
    for place, panel in enumerate(panels):
        last_alone = place == len(panels) - 1 and place % 2 == 0
        axes = figure.add_subplot(grid[place // 2, slice(None) if last_alone else place % 2])
        of_panel = {key: line for key, line in lines.items() if line[0] == panel}
        style.plain(axes, "epoch", title=_PANELS[panel])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        handles, names = _draw_lines(axes, histories, of_panel)
        longest = max(len(line.get_xdata()) for line in axes.lines)
        axes.set_xlim(0.5, longest + 0.5)
        if panel == "accuracy":
            style.percent(axes.yaxis)
            if any(line[2] for line in of_panel.values()):
                handles += axes.plot([], [], "--", color=style.MUTED)
                names.append("dashed: mixed training images")
        if len(handles) > 1:
            many = len(handles) > _INSIDE
            style.legend(figure if many else axes, handles, names, ncols=4 if many else 1)
    return figure


def _lines(histories):
    """By column: its panel, its name, whether it is of training, and its look."""
    columns = dict.fromkeys(
        column
        for history in histories
        for column, values in history.items()
        if np.isfinite(np.asarray(values, np.float64)).any()
    )
    members = [int(found[2]) for column in columns if (found := _MEMBER.fullmatch(column))]
    alone = max(members, default=0) == 0
    lines = {}
    for column in columns:
        found = _MEMBER.fullmatch(column)
        if found and not (alone and found[1]):  # a single member is the ensemble
            member = int(found[2])
            look = {"color": colours.of_member(member), "linewidth": 1.2}
            lines[column] = ("accuracy", f"member {member}", not found[1], look)
        elif column in _KEYS:
            panel, name, of_training = _KEYS[column]
            name = "validation" if alone and name == "ensemble" else name
            colour = style.INK if column == "val_accuracy" else colours.of_member(int(of_training))
            lines[column] = (panel, name, of_training, {"color": colour, "linewidth": 1.8})
    if alone and "member_0_accuracy" in lines:
        lines["member_0_accuracy"] = ("accuracy", "training", *lines["member_0_accuracy"][2:])
    return dict(sorted(lines.items(), key=lambda line: (line[1][2], line[1][1])))


def _draw_lines(axes, histories, lines):
    """Draws the lines; gives the handles and names of the legend, each name once."""
    named = {}
    for column, (_, name, of_training, look) in lines.items():
        mean, deviation = _over_runs(histories, column)
        epochs = np.arange(1, len(mean) + 1)
        style_of = {"linestyle": "--" if of_training else "-"}
        marker = {"marker": "o", "markersize": 3} if len(mean) <= _MARKED else {}
        (line,) = axes.plot(epochs, mean, **look, **style_of, **marker)
        if np.isfinite(deviation).any():
            band = mean - deviation, mean + deviation
            axes.fill_between(epochs, *band, color=look["color"], alpha=0.2, linewidth=0)
        named.setdefault(name, line)
    return list(named.values()), list(named)


def _over_runs(histories, column):
    """Mean and standard deviation at each epoch, float64 (epochs,); NaN where there is none."""
    found = [np.asarray(each[column], np.float64) for each in histories if column in each]
    values = np.full((len(found), max(map(len, found))), np.nan)
    for row, of_run in zip(values, found, strict=True):
        row[: len(of_run)] = np.where(np.isfinite(of_run), of_run, np.nan)
    count = np.isfinite(values).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, axis=0) / count
        deviation = np.sqrt(np.nansum((values - mean) ** 2, axis=0) / (count - 1))
    deviation[count < 2] = np.nan
    return mean, deviation
