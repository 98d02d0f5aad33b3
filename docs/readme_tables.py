"""Writes README's tables of what has a name, each from the one table in the code.

python docs/readme_tables.py
"""

import pathlib
import re

from mixmo_tf.masks import BLOCKS
from mixmo_tf.networks import NETWORKS

README = pathlib.Path(__file__).parent.parent / "README.md"


def networks():
    lines = ["| `--network` | what | sizes |", "|---|---|---|"]
    for name, network in NETWORKS.items():
        sizes = ", ".join(f"`--{size}`" for size in network.sizes)
        lines.append(f"| `{name}` | {network.what} | {sizes} |")
    return lines


def blocks():
    lines = ["| `--mixing` | one member's patch |", "|---|---|"]
    lines += [f"| `{name}` | {block.what} |" for name, block in BLOCKS.items()] + [""]
    seen = "images, masks, mixed image, ratios and weights"
    return lines + [f"![{name}: {seen}](docs/masks/{name}.png)" for name in BLOCKS]


TABLES = {"networks": networks, "blocks": blocks}


def written(text):
    """README's text, its tables as they are to be: between <!-- NAME --> and <!-- /NAME -->."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        lines = "".join(f"{line}\n" for line in table())
        text, found = re.subn(
            f"{begin}.*?{end}", lambda _, new=begin + lines + end: new, text, flags=re.DOTALL
        )
        if found != 1:
            raise ValueError(f"README.md must have {begin.strip()} … {end.strip()} once")
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
