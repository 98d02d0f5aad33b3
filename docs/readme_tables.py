"""Writes the tables of what has a name, in README and in these pages, each from the code.

python docs/readme_tables.py
"""

import pathlib

from mixmo_tf import experiments
from mixmo_tf.data import SOURCES
from mixmo_tf.evaluation import CALIBRATED, METRICS, metrics_json
from mixmo_tf.experiments import Settings, absl_flags, tables
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings
from mixmo_tf.masks import BLOCKS
from mixmo_tf.networks import NETWORKS, size

ROOT = pathlib.Path(__file__).parent.parent
# By dataset: training images, their shape, classes.
SIZES = {
    "digits": (1437, (32, 32, 3), 10),
    "cifar10": (50_000, (32, 32, 3), 10),
    "cifar100": (50_000, (32, 32, 3), 100),
    "tiny_imagenet": (100_000, (64, 64, 3), 200),
    "imagenet2012": (1_281_167, (224, 224, 3), 1000),
}
FLAGS = {  # by command: its settings
    "train": Settings,
    "evaluate": experiments.EvaluationSettings,
    "predict": experiments.PredictSettings,
    "export": experiments.ExportSettings,
    "convert_checkpoint": experiments.ConvertSettings,
    "show_masks": experiments.MaskSettings,
    "show_encoders": experiments.EncoderSettings,
    "draw_idea": experiments.IdeaSettings,
    "benchmark": BenchmarkSettings,
}


def pages() -> list[pathlib.Path]:
    """README, and the pages of the site."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def written(text: str) -> str:
    """A page's text, its tables as they are to be: between <!-- NAME --> and <!-- /NAME -->."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, found, rest = text.partition(begin)
        if not found:
            continue
        _, ends, after = rest.partition(end)
        if not ends:
            raise ValueError(f"{begin.strip()} must be followed by {end.strip()}")
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
    pictures = [f"![{name}: {seen}](masks/{name}.png)\n" for name in BLOCKS]
    return _table(("`--mixing`", "one member's patch"), rows) + "\n" + "".join(pictures)


def _datasets():
    rows = [(f"`{name}{source.argument}`", source.what) for name, source in SOURCES.items()]
    return _table(("`--dataset`", "what"), rows)


def _metrics():
    metrics = {key: metric.meaning for key, metric in {**METRICS, **CALIBRATED}.items()}
    rows = [(f"`{key}`", what) for key, what in {**metrics, **metrics_json.EVALUATED}.items()]
    return _table(("key", "what"), rows)


def _configs():
    """The first line of each config, and what its header says of cost or result."""
    rows = []
    for file in sorted((ROOT / "configs").glob("*.flags")):
        header = [line[2:] for line in _comments(file) if not line.startswith("# Command")]
        rows.append((f"[{file.name}](../configs/{file.name})", " ".join(header)))
    return _table(("config", "what it is"), rows)


def _costs():
    """Rows and operations of the configs; those that take the same stand in one line."""
    lines = {}  # by cost: names of configs, and the operations of the first
    for file in sorted((ROOT / "configs").glob("*.flags")):
        try:
            settings = Settings.from_flagfile(file)
        except (ValueError, OSError):
            continue  # a deep ensemble's, of evaluate.py
        if settings.dataset == "imagenet2012":
            continue  # of its networks, only the encoders and heads are listed
        num_images, image_shape, num_classes = SIZES[settings.dataset]
        network = NETWORKS[settings.network]
        kernels = network.kernels(
            num_members=settings.num_members,
            num_classes=num_classes,
            image_shape=image_shape,
            **{name: getattr(settings, name) for name in network.sizes},
        )
        forward = size.operations(kernels)
        steps = settings.epochs * (num_images // settings.batch_size)
        num_rows = steps * settings.batch_size * settings.batch_repetitions
        cost = f"{steps:,}", f"{num_rows:,}", f"{forward / 1e9:.3f}"
        of_training = f"{size.TRAINING * forward * num_rows / 1e15:,.3f}"
        names, _ = lines.setdefault(cost, ([], of_training))
        names.append(f"[{file.stem}](../configs/{file.name})")
    titles = "configs", "steps", "rows", "GFLOP of a row, forward", "PFLOP of the training"
    rows = [(", ".join(names), *cost, total) for cost, (names, total) in lines.items()]
    return _table(titles, rows)


def _flags_of_reproduce():
    """Those that train.py has not got, or means otherwise."""
    own = [f"| `--{name}` |" for name in ("suite", "seeds", "output_dir", "extend")]
    lines = absl_flags.table(experiments.SuiteSettings).splitlines()
    return "\n".join([*lines[:2], *(line for line in lines if line.startswith(tuple(own)))]) + "\n"


def _comments(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("#")]


def _table(titles, rows):
    return "\n".join(tables.markdown([titles, *rows])) + "\n"


TABLES = {
    "networks": _networks,
    "blocks": _blocks,
    "datasets": _datasets,
    "metrics": _metrics,
    "configs": _configs,
    "costs": _costs,
    "flags": lambda: absl_flags.table(Settings),
    **{
        f"flags of {name}": lambda of=settings: absl_flags.table(of)
        for name, settings in FLAGS.items()
    },
    "flags of reproduce": _flags_of_reproduce,
}

if __name__ == "__main__":
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (as_it_is_to_be := written(text)) != text:
            page.write_text(as_it_is_to_be, encoding="utf-8")
