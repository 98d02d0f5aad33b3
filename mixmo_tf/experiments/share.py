"""A folder that is ready for the Hugging Face Hub, in the form that Keras reads as hf://USER/MODEL.

- config.json, metadata.json, model.weights.h5: the model, as Keras saves it outside of a zip file
- README.md: the model card, see `model_card`
- metrics.json: its metrics, as those of a run
- model.json, class_names.txt: what it takes and gives, where it is from, and its classes

What would tell of the machine is left out: of a path, the last name is kept.
"""

import pathlib
from typing import Any

import keras

from mixmo_tf import outputs, strict_json
from mixmo_tf.evaluation.metrics import CALIBRATED, MEMBER, METRICS
from mixmo_tf.experiments import model_card, origin
from mixmo_tf.formats import signature
from mixmo_tf.models.predictor import Predictor

OTHERS = "format", "litert", "input", "output_dir", "calibrate"  # settings of what is exported
_REQUESTS = {"keras": "any n, rounded to uint8; images of another shape are an error"}
_ABOUT = "schema", "dataset", "split", "examples", "ensemble", "undefined"
_OF_RUN = "parameters", "epochs", "steps"


def new_folder(path: str) -> pathlib.Path:
    """The path of a folder to write, with a name that Keras does not take for a file's.

    Raises:
        ValueError: if its name ends in .keras.
        FileExistsError: if there is anything.
    """
    folder = outputs.new_folder(path)
    if folder.suffix == ".keras":
        raise ValueError(f"share must be a folder, with a name that does not end in .keras: {path}")
    return folder


def write(
    model: Predictor,
    folder: pathlib.Path,
    facts: dict[str, Any],
    central_fraction: float,
    how: str,
) -> list[pathlib.Path]:
    """Writes the folder, atomically; gives what `mixmo_tf.load` takes.

    Args:
        model: Predictor; without an optimizer it is smaller.
        folder: one that is new, see `new_folder`.
        facts: what is known of the model, as `origin.facts` gives it, with its metrics.
        central_fraction: float in (0, 1], how much of the shorter side of a file's image the model
            is given.
        how: what became of the members, such as "folded".

    Raises:
        OSError: if it cannot be written; nothing is left there.
    """
    facts = _numbers_alone(origin.without_paths(facts))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with outputs.atomically(folder) as partial:
        keras.saving.save_model(model, partial, zipped=False)
        (partial / "assets").rmdir()  # empty: no layer of ours has any
        signature.write_description(
            model, partial, _REQUESTS, central_fraction=central_fraction, facts=facts
        )
        if facts.get("metrics"):
            (partial / "metrics.json").write_text(strict_json.dumps(facts["metrics"]))
        name = folder.resolve().name
        card = model_card.card(model, name, facts, central_fraction, how)
        (partial / "README.md").write_text(card, encoding="utf-8")
    return [folder]


def what_is_left(folder: pathlib.Path) -> str:
    """What the user is to do with the folder."""
    name = folder.resolve().name
    return (
        f"Fill in the licence in {folder / 'README.md'} and read the rest. Then, with the extra "
        f"hub: hf upload USER/{name} {folder}"
    )


def _numbers_alone(facts):
    """The facts, but that of the metrics only numbers are left, and what they are of."""
    kept = [*_ABOUT, *_OF_RUN, *METRICS, *CALIBRATED, *(MEMBER + name for name in METRICS)]
    found = {name: value for name, value in facts.get("metrics", {}).items() if name in kept}
    return {**facts, "metrics": found}
