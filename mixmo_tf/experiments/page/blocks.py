"""What a page is made of, before any HTML: parts with a title, and blocks in them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from mixmo_tf.experiments.tables import Table


class Words(NamedTuple):
    """Sentences, a paragraph each."""

    sentences: Sequence[str]
    kind = "words"


class Tiles(NamedTuple):
    """The metrics that are looked at first, large."""

    metrics: Sequence[tuple[str, str, str]]  # (what, value, what the members have)
    kind = "tiles"


class Cells(NamedTuple):
    """A table."""

    table: Table
    kind = "cells"


class Drawing(NamedTuple):
    """A picture, for a light page and for a dark one."""

    title: str
    light: str  # SVG
    dark: str
    size: tuple[int, int]  # CSS pixels, width and height
    alt: str  # what it shows, in words
    reading: str  # how to read it, a sentence
    kind = "drawing"


class Shown(NamedTuple):
    """An image of the evaluation, and what was said of it."""

    name: str
    uri: str | None  # data:; None where its pixels are not at hand
    size: tuple[int, int] | None  # CSS pixels, width and height
    is_small: bool  # whether its pixels are to be seen
    alt: str
    facts: Sequence[tuple[str, str, str]]  # (what, class, probability)


class Gallery(NamedTuple):
    """Images to look at, in their order."""

    images: Sequence[Shown]
    kind = "gallery"


class Listing(NamedTuple):
    """Lines for a shell."""

    text: str
    kind = "listing"


class Part(NamedTuple):
    """A title, blocks below it, and parts in it."""

    title: str
    blocks: Sequence[Words | Tiles | Cells | Drawing | Gallery | Listing] = ()
    parts: Sequence["Part"] = ()
    anchor: str = ""

    @property
    def is_drawing(self) -> bool:
        """Whether it is a picture alone, which can stand beside another one."""
        return len(self.blocks) == 1 and isinstance(self.blocks[0], Drawing)


def anchored(parts: Sequence[Part], taken: set | None = None) -> list[Part]:
    """The parts, each with an anchor of its own, made of its title."""
    taken = set() if taken is None else taken
    found = []
    for part in parts:
        words = re.sub(r"[^a-z0-9]+", "-", part.title.lower()).strip("-")[:40] or "part"
        anchor, count = words, 1
        while anchor in taken:
            count += 1
            anchor = f"{words}-{count}"
        taken.add(anchor)
        found.append(part._replace(anchor=anchor, parts=anchored(part.parts, taken)))
    return found
