"""The model card of a model that is shared: Markdown, after a front matter that the hub reads.

The front matter is YAML in the standard form of the Hugging Face Hub: licence, library, tags, and
the metrics as a `model-index`.
"""

import math
import shlex
from typing import Any

from mixmo_tf import data, strict_json
from mixmo_tf.evaluation.metrics import CALIBRATED, METRICS, heading, meaning, written
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.formats.signature import CLASS_NAMES
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.paths import printable

_MOST_CLASSES = 100  # that are listed
_TASK = "image-classification"
_COLOURS = {1: "grey", 3: "RGB"}  # by the number of channels
_TITLES = {key: each.title for key, each in (METRICS | CALIBRATED).items() if each.title}
_METHOD = "[MixMo](https://arxiv.org/abs/2103.06132) (Ramé, Sun, Cord, ICCV 2021)"


def card(
    model: Predictor, name: str, facts: dict[str, Any], central_fraction: float, how: str
) -> str:
    """The text of README.md; see `share.write`."""
    flags = [run["flags"] for run in facts["runs"] if "flags" in run]
    parts = [
        _front_matter(name, facts, flags),
        f"# {printable(name)}",
        _what(model, flags, how),
        _use(model, name, central_fraction),
        _data(facts, flags),
        _metrics(facts),
        _training(facts, flags),
        _classes(model),
        "## Licence\n\nFill in `license` at the top of this file: what others may do with this "
        "model, which the images that it was trained on may restrict.",
        "## Cite\n\nAlexandre Ramé, Rémy Sun and Matthieu Cord: MixMo: Mixing Multiple Inputs for "
        "Multiple Outputs via Deep Subnetworks. ICCV 2021.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _front_matter(name, facts, flags):
    lines = [
        "license: unknown  # fill in, such as apache-2.0 or cc-by-4.0",
        "library_name: keras",
        f"pipeline_tag: {_TASK}",
        "tags:",
        *(f"- {tag}" for tag in ("mixmo", "ensemble", "keras", "tensorflow")),
    ]
    metrics, dataset = _values(facts), _dataset(facts, flags)
    if metrics and dataset:
        split = facts["metrics"].get("split")
        lines += [
            "model-index:",
            f"- name: {_quoted(name)}",
            "  results:",
            "  - task:",
            f"      type: {_TASK}",
            "    dataset:",
            f"      name: {_quoted(dataset)}",
            f"      type: {_quoted(dataset)}",
            *([f"      split: {_quoted(split)}"] if split else []),
            "    metrics:",
        ]
        for key, value in metrics.items():
            lines += [f"    - type: {key}", f"      value: {value!r}"]
            lines.append(f"      name: {_quoted(_TITLES[key])}")
    return "\n".join(["---", *lines, "---"])


def _what(model, flags, how):
    height, width, channels = model.image_shape
    colours = _COLOURS.get(channels, f"{channels}-channel")
    said = [
        f"It classifies {colours} images of {height}×{width} pixels into "
        f"{model.num_classes:,} classes."
    ]
    it, network = "It", "a network"
    if len(flags) > 1:
        said.append(f"It is a deep ensemble of {len(flags)} networks.")
        it, network = "Each", "it"
    members = {int(each["--num_members"]) for each in flags if "--num_members" in each}
    if not flags:
        said.append(f"It was made with mixmo_tf, {_METHOD} for Keras.")
    elif members == {1}:
        said.append(f"{it} was trained without mixing, with one member.")
    else:
        count = f"its {members.pop()}" if len(members) == 1 else "several"
        said.append(
            f"{it} was trained by {_METHOD}: {count} members share {network}, and answer as an "
            "ensemble."
        )
        if how == "folded":
            said.append("They are folded into one, at the price of a plain network.")
    return " ".join(said)


def _use(model, name, central_fraction):
    height, width, channels = model.image_shape
    central = "" if central_fraction == 1 else f" (the central {central_fraction:.1%} of its side)"
    named = f"hf://USER/{printable(name)}"
    return f"""## Use

With mixmo_tf and its extra `hub` installed:

```python
import mixmo_tf

model = mixmo_tf.load("{named}")  # or the path of this folder
probabilities = model.predict(images)  # (n, {model.num_classes}); model.class_names are the names
```

`images` are pixels from 0 to 255, uint8 (n, {height}, {width}, {channels}), not normalised: that \
is in the model. `mixmo_tf.data.read_images(files, model.image_shape)` makes them of files: the \
central square of an image{central}, scaled. After `import mixmo_tf`, \
`keras.saving.load_model("{named}")` loads the model too."""


def _data(facts, flags):
    dataset = _dataset(facts, flags)
    if not dataset:
        return "## Data\n\nWhat it was trained on is not known here: fill it in."
    names = list(dict.fromkeys(each["--dataset"] for each in flags if "--dataset" in each))
    said = [
        f"It was trained on the training images of {_code(name)}{_about(name)}." for name in names
    ]
    for each in flags[:1]:
        if each.get("--validation_examples", "0") != "0":
            said.append(f"{int(each['--validation_examples']):,} of these were held out.")
        if start := each.get("--initialize_from"):
            said.append(f"It began with the weights of {_code(start)}.")
    return "## Data\n\n" + " ".join(said or [f"It was evaluated on {_code(dataset)}."])


def _about(dataset):
    """What a dataset with a name of its own is, in brackets."""
    source = data.SOURCES.get(dataset)
    return f" ({source.what.removesuffix('; no download')})" if source else ""


def _metrics(facts):
    metrics, found = _values(facts), facts.get("metrics", {})
    if not metrics:
        return "## Metrics\n\nIt was not evaluated: fill in how well it answers."
    where = [f"the {found['split']} images" if "split" in found else "the test images"]
    where += [f"of {_code(found['dataset'])}"] if "dataset" in found else []
    where += [f"({found['examples']:,})"] if "examples" in found else []
    rows = [
        f"| {heading(key)} | {written(key, v)} | {meaning(key)} |" for key, v in metrics.items()
    ]
    lines = [
        f"On {' '.join(where)}, the ensemble's:",
        "",
        "| metric | value | what |",
        "|---|---|---|",
    ]
    return "\n".join(["## Metrics", "", *lines, *rows])


def _training(facts, flags):
    if not flags:
        return "## Training\n\nHow it was trained is not known here: fill it in."
    defaults = Settings().of_run()
    commands = []
    for each in flags:
        names = [name for name in each if name == "--dataset" or defaults.get(name) != each[name]]
        said = [f"{name}={each[name]}" for name in names]
        lines = ["mixmo-train", *(shlex.quote(printable(flag)) for flag in said)]
        commands.append(" \\\n  ".join(lines))
    epochs = [run["epoch_number"] for run in facts["runs"] if "epoch_number" in run]
    of_epoch = f" It is the model after epoch {epochs[0]}." if len(epochs) == 1 else ""
    versions = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    return (
        "## Training\n\n```bash\n" + "\n".join(commands) + "\n```\n\n"
        f"Of paths, the last name is left.{of_epoch} It was written with {versions}."
    )


def _classes(model):
    if not model.class_names:
        return None
    if model.num_classes > _MOST_CLASSES:
        return (
            f"## Classes\n\n{model.num_classes:,}, a line each in [{CLASS_NAMES}]({CLASS_NAMES})."
        )
    width = len(str(model.num_classes - 1))
    lines = [f"{i:>{width}}  {printable(name)}" for i, name in enumerate(model.class_names)]
    return "\n".join(["## Classes", "", "```", *lines, "```"])


def _values(facts):
    """The ensemble's metrics, one number each, in the order of the tables."""
    found = facts.get("metrics", {})
    numbers = {key: found[key] for key in _TITLES if isinstance(found.get(key), (int, float))}
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


def _dataset(facts, flags):
    """The dataset that the metrics are of; None if it is not known."""
    of_runs = [each["--dataset"] for each in flags if "--dataset" in each]
    return facts.get("metrics", {}).get("dataset") or next(iter(of_runs), None)


def _code(text):
    return f"`{printable(text)}`"


def _quoted(text):
    """A scalar of YAML, which takes strings as JSON has them."""
    return strict_json.dumps(printable(text)).strip()
