"""How the members of a network split its encoder filters."""

from typing import TYPE_CHECKING

import numpy as np

from mixmo_tf.plots import colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(norms: np.ndarray, title: str) -> "Figure":
    """Bars of the members' norms per filter, the filters of member 0 first.

    Args:
        norms: float (M, filters), as `evaluation.encoder_norms` gives them.
        title: str.
    """
    from matplotlib.figure import Figure

    num_members, num_filters = norms.shape
    order = np.argsort(norms[0] / norms.sum(axis=0))[::-1]
    figure = Figure(figsize=(max(6, 0.22 * num_filters + 2), 3.4), dpi=120)
    axes = figure.subplots()
    bottom = np.zeros(num_filters)
    for i in range(num_members):
        colour = colours.of_member(i)
        axes.bar(
            range(num_filters), norms[i, order], 0.8, bottom, color=colour, label=f"member {i}"
        )
        bottom += norms[i, order]
    axes.set_xticks(range(num_filters), order, fontsize=7 if num_filters <= 32 else 4)
    axes.set_xlabel("filter, by the share of member 0")
    axes.set_ylabel("L1 norm of the encoder's kernel")
    axes.set_title(title, fontsize=10, loc="left", pad=22)
    axes.legend(frameon=False, ncols=num_members, loc="lower left", bbox_to_anchor=(-0.02, 0.98))
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
