"""Tables: what stands in them, and as text, aligned for the shell, or Markdown."""

from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """Cells as they are shown, in the shell as on a page, and what is said with them."""

    title: str
    rows: Sequence[Sequence[str]]  # the first cell of each says what the row is
    head: Sequence[str] | None = None  # titles of the columns, the first one ""; None for one value
    first: str = ""  # what the first column holds, for who hears the table, or sorts it
    above: Sequence[str] = ()  # lines between the title and the cells
    notes: Sequence[str] = ()  # lines below the cells
    foot: Sequence[Sequence[str]] = ()  # rows of all the others, which stay below them
    meanings: Sequence[str] = ()  # of each row, where there is room for it
    sortable: bool = True  # whether its rows are of one kind

    def lines(self) -> list[str]:
        """The table as text."""
        cells = [*([self.head] if self.head else []), *self.rows, *self.foot]
        return [self.title, *self.above, *(aligned(cells) if cells else []), *self.notes]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns of one width, the first to the left; rows are lists of str."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"  {first:<{widths[0]}}", *cells]))
    return lines


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """The same rows as Markdown, lines; the first row has the titles."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]
