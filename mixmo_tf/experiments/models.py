"""Trained models as settings name them: one, or several as a deep ensemble."""

import dataclasses
import pathlib
from collections.abc import Sequence

from mixmo_tf.deployment import loading
from mixmo_tf.deployment.file_predictor import FilePredictor
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.experiments.fields import REQUIRED, setting
from mixmo_tf.experiments.of_flags import OfFlags
from mixmo_tf.formats.saved_model import is_saved_model
from mixmo_tf.models.exported import ExportedModel
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.networks.precision import PRECISIONS, set_precision
from mixmo_tf.paths import expanded, resolved
from mixmo_tf.training import checkpoints


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfModels(OfFlags):
    """Which trained models, and how they compute."""

    model: tuple[str, ...] = setting(
        REQUIRED,
        "A run's folder or a .keras file; several, with commas, make a deep ensemble.",
        repeated=True,
    )
    ensemble: str | None = setting(
        None, "What is averaged; if not set, what the model was trained with.", choices=ENSEMBLES
    )
    precision: str | None = setting(
        None, "What the networks compute in; if not set, as in training.", choices=PRECISIONS
    )
    trust: bool = setting(
        False, "Load a SavedModel whatever operations it holds: it can do all that you can."
    )

    def groups(self) -> list[list[pathlib.Path]]:
        """A list of pathlib.Path for each `model`: itself, or those of a deep ensemble."""
        found = [[expanded(name) for name in _names_in(group)] for group in self.model]
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

    def _load_exported(self, file):
        if file.suffix in loading.FILES:
            return FilePredictor(file, self.ensemble)
        return ExportedModel(file, self.trust)

    def _set_precision(self, model):
        for network in model.networks if self.precision else ():
            set_precision(network, self.precision)


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
