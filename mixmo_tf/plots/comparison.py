"""Methods side by side, over several runs each."""

from typing import TYPE_CHECKING

from mixmo_tf.evaluation.metrics import over_runs, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(runs: dict[str, list[dict]], columns: dict[str, str]) -> "Figure":
    """A panel per metric, a method per line, bars of one standard deviation.

    Args:
        runs: lists of dicts, what metrics.json says of each run, by the method's title.
        columns: titles by the keys of `evaluation.METRICS`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(12, 1.2 + 0.32 * len(runs)), dpi=120)
    panels = figure.subplots(1, len(columns), sharey=True)
    for panel, (key, title) in zip(panels, columns.items(), strict=True):
        for line, of_title in enumerate(runs.values()):
            mean, deviation = over_runs(of_title, key)
            if mean is None:
                continue
            of_each = [over_runs([run], key)[0] for run in of_title]
            for one in filter(lambda x: x is not None, of_each):
                panel.plot(one, line, "o", color="#9db8cc", markersize=4, zorder=1)
            panel.errorbar(mean, line, xerr=deviation, fmt="s", color="#1b6ca8", capsize=4)
        panel.set_title(title, fontsize=11)
        panel.xaxis.set_major_formatter(lambda value, _, key=key: written(key, value))
        panel.set_yticks(range(len(runs)), runs)
        panel.grid(axis="x", color="#dddddd")
        panel.tick_params(axis="x", labelsize=8)
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.spines[["top", "right", "left"]].set_visible(False)
    panels[0].invert_yaxis()
    figure.tight_layout()
    return figure
