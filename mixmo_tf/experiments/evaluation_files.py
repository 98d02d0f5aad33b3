"""What is kept of evaluations: metrics.json, predictions.npz, and the models."""

from collections.abc import Callable, Sequence

import numpy as np

from mixmo_tf import outputs, strict_json
from mixmo_tf.deployment.loading import is_exported
from mixmo_tf.evaluation import metrics_json
from mixmo_tf.experiments import run_flags
from mixmo_tf.experiments.evaluations import Evaluation, EvaluationSettings
from mixmo_tf.paths import expanded, resolved
from mixmo_tf.training import checkpoints


def writer(settings: EvaluationSettings) -> Callable[[Sequence[Evaluation]], None]:
    """What writes the evaluations to the file and the folder that settings name, if they do.

    Returns:
        A function of the list of Evaluations.

    Raises:
        OSError: where they could not be written, as soon as that is known.
    """
    file, folder = (name and expanded(name) for name in (settings.json, settings.output_dir))
    if folder:
        if folder.exists():
            raise FileExistsError(f"{folder} exists; choose another --output_dir")
        folder.parent.mkdir(parents=True, exist_ok=True)
    if file and folder and resolved(file) == resolved(folder):
        raise ValueError(f"json and output_dir must be two paths, got {file} for both")
    replace = bool(file) and _holds_metrics(file)

    def write(evaluations):
        if file:
            _write_metrics(evaluations, file, replace)
        if folder:
            _keep(evaluations, folder, settings)

    return write


def _holds_metrics(file):
    """Whether there are metrics in a file, or nothing, so that new ones may take their place.

    Raises:
        OSError: if the file cannot be written, or holds anything else.
    """
    if not file.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {file.parent} for --json")
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder; name a file for --json")
    if outputs.is_stream(file) or not file.exists():
        return False
    content = file.read_bytes()
    try:
        metrics = strict_json.loads(content or "[]")
    except ValueError:
        metrics = None
    of_each = metrics if isinstance(metrics, list) else [metrics]
    if not all(isinstance(metrics, dict) and "accuracy" in metrics for metrics in of_each):
        raise FileExistsError(f"{file} exists and holds no metrics; name another file for --json")
    return True


def _write_metrics(evaluations, file, replace=False):
    """The metrics of one Evaluation, or a list of those of several."""
    described = [each.described() for each in evaluations]
    metrics_json.write_metrics(file, described[0] if len(described) == 1 else described, replace)


def _keep(evaluations, folder, settings):
    """Writes metrics, predictions and models to a new folder, atomically.

    With several Evaluations, there is a folder in it for each, numbered, and metrics.json is a
    list.
    """
    with outputs.atomically(folder) as partial:
        partial.mkdir()
        if len(evaluations) == 1:
            _keep_one(evaluations[0], partial, settings)
            return
        for i, each in enumerate(evaluations):
            (partial / str(i)).mkdir()
            _keep_one(each, partial / str(i), settings)
        _write_metrics(evaluations, partial / "metrics.json")


def _keep_one(evaluation, folder, settings):
    described = evaluation.images.described().items()
    lines = [f"# of {file}" for file in evaluation.files]
    lines += [f"{name}={value}" for name, value in described if value is not None]
    (folder / run_flags.NAME).write_text("\n".join(lines) + "\n")
    arrays = {"member_logits": evaluation.member_logits, "labels": evaluation.labels}
    arrays["images"] = evaluation.image_names
    if evaluation.held_out:
        arrays["held_out_member_logits"], arrays["held_out_labels"] = evaluation.held_out
        arrays["held_out_images"] = evaluation.held_out_names
    np.savez_compressed(folder / "predictions.npz", **arrays)
    _write_metrics([evaluation], folder / "metrics.json")
    if not any(map(is_exported, evaluation.files)):
        checkpoints.save_model(settings.load_as_one(evaluation.files), folder / "model.keras")
