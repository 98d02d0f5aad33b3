"""Trained models as settings name them: one, or several as a deep ensemble."""

import dataclasses
import pathlib
from collections.abc import Sequence

from mixmo_tf.deployment import hub, loading
from mixmo_tf.deployment.file_predictor import FilePredictor
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.experiments import directory, run_flags
from mixmo_tf.experiments.fields import REQUIRED, setting
from mixmo_tf.experiments.of_flags import OfFlags
from mixmo_tf.formats.saved_model import is_saved_model
from mixmo_tf.models.exported import ExportedModel
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.networks.precision import PRECISIONS, set_precision
from mixmo_tf.paths import expanded, resolved
from mixmo_tf.training import checkpoints, history

EPOCHS = ("best", "last")
BEST = "best.keras"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfModels(OfFlags):
    """Which trained models, and how they compute."""

    model: tuple[str, ...] = setting(
        REQUIRED,
        "A run's folder, a .keras file, or hf://USER/MODEL of the Hugging Face Hub; several, "
        "separated by commas, make a deep ensemble.",
        repeated=True,
    )
    ensemble: str | None = setting(
        None,
        "What the ensemble averages; if not set, what the model was trained with.",
        choices=ENSEMBLES,
    )
    precision: str | None = setting(
        None,
        "The precision that the networks compute in; if not set, that of the training.",
        choices=PRECISIONS,
    )
    which: str | None = setting(
        None,
        "Which epoch of a run's folder: last, its model.keras, which is the default; best, its "
        "best.keras, the best epoch on held-out images.",
        choices=EPOCHS,
    )
    trust: bool = setting(
        False,
        "Load a SavedModel whatever operations it holds; such a file can do everything that you "
        "can do.",
    )

    def groups(self) -> list[list[pathlib.Path]]:
        """A list of pathlib.Path for each `model`: itself, or those of a deep ensemble.

        Raises:
            ValueError: if one is named twice, or has no such epoch as `which`.
        """
        found = [
            [self._of_epoch(_located(name)) for name in _names_in(group)] for group in self.model
        ]
        for group, files in zip(self.model, found, strict=True):
            if len(set(map(resolved, files))) < len(files):
                raise ValueError(f"--model names a model twice: {group}")
        return found

    def only_group(self) -> list[pathlib.Path]:
        """The files of `model`, which must be there once."""
        if len(self.model) > 1:
            raise ValueError(f"--model must be there once, got {' and '.join(self.model)}")
        return self.groups()[0]

    def load(self, files: Sequence[pathlib.Path]) -> list[Predictor]:
        """The models, a list of MixMo, DeepEnsemble, ExportedModel and FilePredictor."""
        models = []
        for file in files:
            if loading.is_exported(file):
                if self.precision:
                    raise ValueError(f"{file} is an exported model, whose precision is fixed")
                models.append(self._load_exported(file))
                continue
            models.append(checkpoints.load_model(file, compile=False))
            self._set_precision(models[-1])
        return models

    def load_as_one(self, files: Sequence[pathlib.Path]) -> Predictor:
        """The model, or several as a DeepEnsemble."""
        for file in filter(is_saved_model, files):
            raise ValueError(f"{file} is a SavedModel already; name the run or the .keras file")
        model = loading.load_as_one(files, self.ensemble)
        self._set_precision(model)
        return model

    def _of_epoch(self, path):
        """A run's folder, or its best.keras; another file must be named without `which`."""
        if self.which is None:
            return path
        if not path.is_dir() or loading.is_exported(path):
            raise ValueError(f"which={self.which} is for runs' folders, and {path} is none")
        if self.which == "last":
            return path
        if not (path / BEST).is_file():
            raise ValueError(
                f"{path} has no {BEST}: only a run with held-out images has one "
                "(--validation_examples, or a folder with val and test); take --which=last"
            )
        return path / BEST

    def _load_exported(self, file):
        if file.suffix in loading.FILES:
            return FilePredictor(file, self.ensemble)
        return ExportedModel(file, self.trust)

    def _set_precision(self, model):
        for network in model.networks if self.precision else ():
            set_precision(network, self.precision)


def epochs_of(run: pathlib.Path) -> tuple[int, int | None]:
    """Which epochs, from 1, a run's model.keras and its best.keras are of; None without the latter.

    Raises:
        ValueError: if its files are not a run's.
    """
    run_flags.number(run, "--epochs")  # or raises
    last = (directory.read_metrics(run) or {}).get("epochs")
    if not isinstance(last, int):  # of an unfinished run
        last = int(run_flags.epochs(run)[0])
    best = history.best_epoch(run)[0] if (run / BEST).is_file() else 0
    return last, best or None


def epochs_in_words(files: Sequence[pathlib.Path]) -> list[str]:
    """Which epochs of their runs models are, a line for each; no line for what is of no run."""
    lines = []
    for file in files:
        folder = file if file.is_dir() else file.parent
        if not (folder / run_flags.NAME).is_file() or not run_flags.epochs(folder)[1]:
            continue
        now = run_flags.epochs(folder)[1]
        last, best = epochs_of(folder)
        if file.name == BEST:
            lines.append(f"{folder}: epoch {best} of {now}, the best on held-out images.")
        elif file == folder or file.name == "model.keras":
            other = f" (--which=best takes epoch {best})" if best else ""
            other = ", the best on held-out images too" if best == last else other
            lines.append(f"{folder}: the last epoch, {last}{other}.")
    return lines


def _located(name):
    """Where a model is; one of the hub is downloaded."""
    return hub.download(name) if hub.is_name(name) else expanded(name)


def _names_in(group):
    """The models between the commas of a --model; a path that exists is one, commas or not."""
    names, rest = [], group.split(",")
    while rest:
        lengths = range(len(rest), 1, -1)
        there = (n for n in lengths if expanded(",".join(rest[:n])).exists())
        length = next(there, 1)
        names.append(",".join(rest[:length]))
        rest = rest[length:]
    if not all(names):
        raise ValueError(f"--model must name models, with commas between them, got {group!r}")
    return names
