"""What is to be evaluated, and what came out: the records that tables and files are made from."""

import dataclasses
from typing import NamedTuple

import numpy as np

from mixmo_tf import evaluation
from mixmo_tf.evaluation import metrics_json
from mixmo_tf.experiments import abstention, directory, images, ood, shift
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.images import OfImages
from mixmo_tf.experiments.models import OfModels

_OF_MODELS = (  # settings that mean nothing where the answers are there already
    *(field.name for field in dataclasses.fields(images.OfImages)),
    *(field.name for field in dataclasses.fields(shift.OfShift)),
    "precision",
    "which",
    "trust",
    "output_dir",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings(OfModels, OfImages, abstention.OfAbstention, shift.OfShift):
    """What is evaluated, on what, and where the results go; the flags of evaluate.py.

    Raises:
        ValueError: if neither models nor predictions are named, or a setting is not for these.
    """

    model: tuple[str, ...] = setting(
        (),
        "A run's folder, a .keras file, hf://USER/MODEL, or what export.py wrote: a "
        "SavedModel, an .onnx or a .tflite file. Several, separated by commas, make "
        "a deep ensemble. Give --model several times to compare models in a table.",
        repeated=True,
    )
    predictions: tuple[str, ...] = setting(
        (),
        "Predictions to evaluate instead of a --model: a predictions.npz that "
        "--output_dir kept, or the folder it is in. Give --predictions several "
        "times to compare them in a table.",
        repeated=True,
    )
    batch_size: int = setting(500, "Images per batch.", bounds=(1, None))
    paired: bool = setting(
        False,
        "Compare each further --model with the first one, image by image: McNemar's "
        "test of the accuracies, and a bootstrap interval of the difference between "
        "the NLLs.",
    )
    json: str | None = setting(None, "File to write the metrics to; none if not set.")
    output_dir: str | None = setting(
        None, "New folder to keep metrics, predictions and the model in; none if not set."
    )
    report: str | None = setting(
        None,
        "Folder for report.html, a page with metrics, pictures and images to look "
        "at, which replaces a report that is there; none if not set.",
    )

    def __post_init__(self):
        super().__post_init__()
        if bool(self.model) == bool(self.predictions):
            got = "both" if self.model else "neither"
            raise ValueError(f"one of --model and --predictions must be given, got {got}")
        changed = self._changed()
        for name in _OF_MODELS if self.predictions else ():
            if name in changed:
                raise ValueError(f"{name} is for --model; of --predictions there are answers alone")


class Evaluation(NamedTuple):
    """What was evaluated, and how it did."""

    files: list  # pathlib.Path of the models
    ensemble: str  # what is averaged, "logits" or "probabilities"
    images: images.Images
    member_logits: np.ndarray  # float32 (N, M, C)
    labels: np.ndarray  # int64 (N,)
    metrics: dict  # of `evaluation.report`
    held_out: tuple | None  # (member_logits, labels) that temperatures are fitted on
    class_names: tuple  # of str, by label
    image_names: np.ndarray  # (N,), files below the split's folder, or where there are none indices
    held_out_names: np.ndarray | None  # those of the held-out images
    abstention: list  # of dict, see `abstention.found`
    paired: dict | None = None  # of `evaluation.paired`, and which model it is "against"
    shift: dict | None = None  # "corruptions" and "ood", see `shift.Shift`
    ood_scores: ood.Scores | None = None  # what "ood" is computed from

    def __repr__(self):
        measured = {key: self.metrics[key] for key in ("accuracy", "nll")}
        shown = ", ".join(f"{key}={value:.4f}" for key, value in measured.items())
        return f"Evaluation(name={self.name!r}, {shown}, examples={len(self.labels)})"

    @property
    def name(self) -> str:
        return ",".join(map(str, self.files))

    @property
    def fitted_on(self) -> str:
        """The images that temperatures are fitted on."""
        if self.held_out:
            return "validation images"
        split = self.images.split
        these = "these images" if split == images.UNKNOWN else f"the {split} images"
        return f"the other nine of ten folds of {these}"

    def described(self) -> dict:
        """What metrics.json says."""
        per_class = evaluation.per_class(self.logits(), self.labels)
        return metrics_json.described(
            self.metrics,
            dataset=self.images.dataset,
            split=self.images.split,
            examples=len(self.labels),
            ensemble=self.ensemble,
            libraries=directory.versions(),
            models=list(map(str, self.files)),
            **(self.shift or {}),
            temperature_fitted_on=self.fitted_on,
            class_names=self.class_names,
            **{key: values.tolist() for key, values in per_class.items()},
            **({"abstention": self.abstention} if self.abstention else {}),
            **({"paired": self.paired} if self.paired else {}),
        )

    def logits(self) -> np.ndarray:
        """The ensemble's, float64 (N, C)."""
        return evaluation.ensemble_logits(self.member_logits, self.ensemble)


def of_answers(
    settings: abstention.OfAbstention,
    files: list,
    ensemble: str,
    tested_on: images.Images,
    answers: tuple,
    held_out: tuple | None,
    class_names: tuple,
) -> Evaluation:
    """The Evaluation of what models answered to images, and to those held out, if there are any.

    Both are (member_logits, labels, names or indices of the images).
    """
    member_logits, labels, names = answers
    others, other_names = (held_out[:2], held_out[2]) if held_out else (None, None)

    def together(member_logits, labels):
        return evaluation.ensemble_logits(member_logits, ensemble), labels

    return Evaluation(
        files,
        ensemble,
        tested_on,
        member_logits,
        labels,
        evaluation.report(member_logits, labels, ensemble, others),
        others,
        class_names,
        names,
        other_names,
        abstention.found(settings, together(*answers[:2]), others and together(*others)),
    )
