"""How the members of a network split its encoder filters."""

from typing import TYPE_CHECKING

import numpy as np

from mixmo_tf.plots import colours, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBERED = 32  # filters up to which each one's number is written


def draw(norms: np.ndarray, title: str) -> "Figure":
    """Bars of the members' norms per filter, the filters of member 0 first.

    Args:
        norms: float (M, filters), as `evaluation.encoder_norms` gives them.
        title: str.
    """
    num_members, num_filters = norms.shape
    order = np.argsort(norms[0] / np.maximum(norms.sum(axis=0), np.finfo(np.float64).tiny))[::-1]
    figure = style.figure(min(max(6, 0.22 * num_filters + 2), 16), 3.7, title)
    axes = figure.subplots()
    bottom = np.zeros(num_filters)
    handles, width = [], 0.8 if num_filters <= _NUMBERED else 1
    for i in range(num_members):
        colour = colours.of_member(i)
        handles.append(axes.bar(range(num_filters), norms[i, order], width, bottom, color=colour))
        bottom += norms[i, order]
    style.plain(axes, "filter, by the share of member 0", "L1 norm of the encoder's kernel")
    if num_filters <= _NUMBERED:
        axes.set_xticks(range(num_filters), order, fontsize=7)
    else:
        axes.set_xlabel(f"{num_filters} filters, by the share of member 0")
    axes.set_xlim(-0.7, num_filters - 0.3)
    axes.set_xlabel(f"{axes.get_xlabel()}\n{_meaning(norms)}")
    names = [f"member {i}" for i in range(num_members)]
    style.legend(axes, handles, names, ncols=min(num_members, 6), loc="lower left",
                 bbox_to_anchor=(-0.01, 1))  # fmt: skip
    return figure


def _meaning(norms):
    """What is little and what is much, in words."""
    largest = norms.max(axis=0).sum() / max(norms.sum(), np.finfo(np.float64).tiny)
    return (
        f"largest share of a filter: {largest:.0%} on average\n"
        f"({1 / len(norms):.0%}: all alike, 100%: one member's own)"
    )
