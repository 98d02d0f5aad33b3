"""The colours of series, such as the members, the same in every picture.

They are those of Okabe and Ito 2008, which people with any colour blindness tell apart; each
stands out from white paper and from a dark page. In print without colour, the lines differ.
"""

_SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LINES = ("-", "--", "-.", ":")


def of_member(member: int) -> str:
    """The colour of a member, or of any other series by its number; they repeat after six."""
    return _SERIES[member % len(_SERIES)]


def line_of(series: int) -> dict[str, str]:
    """Colour and style of the line of a series, as Matplotlib's `plot` takes them."""
    return {"color": of_member(series), "linestyle": _LINES[series % len(_LINES)]}
