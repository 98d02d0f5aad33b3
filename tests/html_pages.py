"""HTML as what a reader finds in it, for the tests of pages."""

import base64
import html.parser
import urllib.parse

_EMPTY = {"br", "img", "link", "meta", "source"}


class Page(html.parser.HTMLParser):
    """A page's headings, tables, pictures, links and text, by the standard library's parser.

    Attributes:
        headings: list of (level, text).
        tables: dict by title, of the first of that title: list of rows, lists of str.
        images: list of dict, the attributes of each img.
        listings: list of str, the lines for a shell.
        tags: list of (name, attributes).
        text: what is read, without scripts and styles.
    """

    def __init__(self, content):
        super().__init__(convert_charrefs=True)
        self.headings, self.tables, self.images, self.tags, self.open = [], {}, [], [], []
        self.listings, self.words, self.by_id, self.rows, self.cell, self.heading = (
            [],
            [],
            {},
            None,
            None,
            None,
        )
        self.feed(content)
        self.close()
        assert self.open == [], self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in _EMPTY:
            self.open.append((tag, attributes.get("id")))
        if tag == "img":
            self.images.append(attributes)
        if tag == "table":
            title = self.by_id[attributes["aria-labelledby"]]
            self.rows = self.tables.setdefault(title, [])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = ""
        if tag[0] == "h" and tag[1:].isdigit():
            self.heading = (int(tag[1:]), "")

    def handle_endtag(self, tag):
        opened, _ = self.open.pop()
        assert opened == tag, f"{opened} ends as {tag}"
        if tag in ("td", "th"):
            self.rows[-1].append(self.cell)
            self.cell = None
        if self.heading and tag == f"h{self.heading[0]}":
            level, text = self.heading
            self.headings.append((level, text))
            self.heading = None

    def handle_data(self, text):
        tag, of_id = self.open[-1] if self.open else ("", None)
        if tag in ("script", "style"):
            return
        self.words.append(text)
        if tag == "code":
            self.listings.append(text)
        if of_id:
            self.by_id[of_id] = self.by_id.get(of_id, "") + text
        if self.cell is not None:
            self.cell += text
        if self.heading:
            self.heading = (self.heading[0], self.heading[1] + text)

    def all(self, tag):
        """The attributes of all tags of a name."""
        return [attributes for name, attributes in self.tags if name == tag]


def content_of(uri):
    """The bytes in a data: URI."""
    head, _, content = uri.partition(",")
    assert head.startswith("data:") and head.endswith(";base64"), head
    return base64.b64decode(urllib.parse.unquote(content), validate=True)
