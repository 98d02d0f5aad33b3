"""Methods side by side, over several runs each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mixmo_tf.evaluation.metrics import heading, over_runs, written
from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(runs: Mapping[str, Sequence[dict]], columns: Mapping[str, str]) -> "Figure":
    """A panel per metric, a method per line, bars of one standard deviation.

    Args:
        runs: lists of dicts, what metrics.json says of each run, by the method's title.
        columns: titles by the keys of `evaluation.METRICS`.

    Returns:
        Figure; a light dot is a run, a square the mean.
    """
    from matplotlib.ticker import MaxNLocator

    figure = style.figure(max(3 * len(columns), 5), 1.2 + 0.32 * len(runs), None)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for panel, (key, title) in zip(panels, columns.items(), strict=True):
        style.plain(panel, title=title, grid="x")
        for line, of_title in enumerate(runs.values()):
            mean, deviation = over_runs(of_title, key)
            if mean is None:
                continue
            of_each = [over_runs([run], key)[0] for run in of_title]
            for one in filter(lambda x: x is not None, of_each):
                panel.plot(one, line, "o", color=colours.of_member(5), markersize=4, zorder=1)
            bar = deviation if deviation is None else [[deviation], [deviation]]
            if bar and heading(key).endswith("%"):
                bar[1] = [min(deviation, 1 - mean)]  # there is nothing beyond 100 %
            panel.errorbar(mean, line, xerr=bar, fmt="s", color=colours.of_member(0), capsize=4)
        panel.xaxis.set_major_formatter(lambda value, _, key=key: written(key, value))
        panel.set_yticks(range(len(runs)), list(map(style.shortened, runs)), parse_math=False)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_visible(False)
    panels[0].set_ylim(len(runs) - 0.5, -0.5)
    return figure
