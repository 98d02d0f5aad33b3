"""Writes README's tables of what has a name, each from the one table in the code.

python docs/readme_tables.py
"""

import pathlib

from mixmo_tf.data import SOURCES
from mixmo_tf.evaluation import CALIBRATED, METRICS, metrics_json
from mixmo_tf.experiments import Settings, absl_flags, tables
from mixmo_tf.masks import BLOCKS
from mixmo_tf.networks import NETWORKS

README = pathlib.Path(__file__).parent.parent / "README.md"


def written(text: str) -> str:
    """README's text, its tables as they are to be: between <!-- NAME --> and <!-- /NAME -->."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"README.md must have {begin.strip()} … {end.strip()}")
        text = before + begin + table() + end + after
    return text


def _networks():
    rows = []
    for name, network in NETWORKS.items():
        sizes = ", ".join(f"`--{size}`" for size in network.sizes)
        rows.append((f"`{name}`", network.what, sizes))
    return _table(("`--network`", "what", "sizes"), rows)


def _blocks():
    rows = [(f"`{name}`", block.what) for name, block in BLOCKS.items()]
    seen = "images, masks, mixed image, ratios and weights"
    pictures = [f"![{name}: {seen}](docs/masks/{name}.png)\n" for name in BLOCKS]
    return _table(("`--mixing`", "one member's patch"), rows) + "\n" + "".join(pictures)


def _datasets():
    rows = [(f"`{name}{source.argument}`", source.what) for name, source in SOURCES.items()]
    return _table(("`--dataset`", "what"), rows)


def _metrics():
    metrics = {key: metric.meaning for key, metric in {**METRICS, **CALIBRATED}.items()}
    rows = [(f"`{key}`", what) for key, what in {**metrics, **metrics_json.EVALUATED}.items()]
    return _table(("key", "what"), rows)


def _table(titles, rows):
    return "\n".join(tables.markdown([titles, *rows])) + "\n"


TABLES = {
    "networks": _networks,
    "blocks": _blocks,
    "datasets": _datasets,
    "metrics": _metrics,
    "flags": lambda: absl_flags.table(Settings),
}

if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
