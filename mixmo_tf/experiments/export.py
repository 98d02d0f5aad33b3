"""A trained model, or several as one, written for use without this package, and checked."""

import dataclasses
import functools
import logging
import pathlib

from mixmo_tf import deployment
from mixmo_tf.deployment import hub
from mixmo_tf.experiments import decisions, export_check, origin, share
from mixmo_tf.experiments import images as images_of
from mixmo_tf.experiments.fields import listed, setting
from mixmo_tf.experiments.images import OfImages
from mixmo_tf.experiments.models import OfModels, epochs_in_words
from mixmo_tf.experiments.of_flags import check_is
from mixmo_tf.formats import FORMATS, litert, name_of, saved_model
from mixmo_tf.models.deep_ensemble import DeepEnsemble
from mixmo_tf.models.folded import FoldedModel
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.outputs import new_folder

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportSettings(OfModels, OfImages, decisions.OfDecision):
    """What is exported, how, and on what it is checked; the flags of export.py."""

    format: tuple[str, ...] = setting(
        ("saved_model",), f"Formats to write, separated by commas: {listed(FORMATS)}."
    )
    litert: tuple[str, ...] = setting(
        litert.DTYPES,
        f"Kinds of weights, each of which makes a LiteRT file: {', '.join(litert.DTYPES)}.",
    )
    input: str = setting(
        "pixels",
        "What the SavedModel takes: pixels; or jpeg, which adds a second signature, "
        "serving_bytes, for the bytes of JPEG and PNG files.",
        choices=saved_model.INPUTS,
    )
    output_dir: str | None = setting(
        None, "New folder to write; if not set, the folder exported beside a single model."
    )
    share: str | None = setting(
        None,
        "New folder that is written instead, ready for the Hugging Face Hub, with a model card; "
        "mixmo_tf.load and Keras read it as hf://USER/MODEL.",
    )
    fold: bool = setting(True, "Fold the members into a plain network with the same outputs.")
    members: bool = setting(
        False, "When folding, keep the members' heads, and so each member's prediction."
    )
    fuse_batch_norm: bool = setting(
        False, "When folding, also fold batch norm into the convolution before it."
    )
    check_images: int = setting(
        500, "Number of images on which the written files are checked; 0: none.", bounds=(0, None)
    )
    calibration_images: int = setting(
        200,
        "Number of training images on which the scales of LiteRT's int8 are fitted.",
        bounds=(1, None),
    )

    def __post_init__(self):
        super().__post_init__()
        others = [name for name in share.OTHERS if name in self._changed()]
        if self.share is not None and others:
            raise ValueError(f"share writes a folder in Keras' own form: leave out {others[0]}")


def export(settings: ExportSettings) -> list[pathlib.Path]:
    """Loads, folds, writes and checks; what came out is logged.

    Returns:
        list of pathlib.Path, each of what `mixmo_tf.load` takes.

    Raises:
        ImportError: if a format needs packages that are not installed.
        ValueError, OSError: if a model or its images are missing, damaged or do not fit, or what
            was written fails its check; the message is a line.
    """
    check_is(settings, ExportSettings)
    files = settings.only_group()
    output = _output_folder(settings, files)
    if not settings.fold and (settings.members or settings.fuse_batch_norm):
        raise ValueError("--members and --fuse_batch_norm say how to fold, --nofold not to")
    model = settings.load_as_one(files)
    calibrates = "litert" in map(name_of, settings.format) and "int8" in settings.litert
    images = calibration = fitted = decision = refit = None
    load = functools.cache(images_of.load)
    if settings.check_images or calibrates or settings.calibrate:
        needed = settings.calibrate
        images, held_out = export_check.find_images(settings, files, model, load, needed)
    exported = model
    if settings.fold:
        exported = folded(model, settings.members, settings.fuse_batch_norm)
    if settings.calibrate:
        fitted = decisions.Fitted(settings, images, held_out, load, model)
        (decision, evidence), refit = fitted.to(exported), fitted.to_file(exported.ensemble)
    if calibrates:
        calibration = export_check.for_calibration(images, settings.calibration_images, load)
    central_fraction = images_of.central_fraction(files, settings.dataset)
    facts = origin.facts(files, exported.ensemble)
    expected = None
    if settings.check_images:
        expected = export_check.Expected(model, images, settings.check_images, load, decision)
        facts = {"metrics": expected.metrics(), **facts}
    if fitted:
        facts["decision"] = fitted.described(evidence)
    facts = origin.without_paths(facts)
    how = _how_folded(settings, exported)
    if settings.share is not None:
        written = share.write(exported, output, facts, central_fraction, how)
    else:
        written = deployment.export(
            exported,
            output,
            settings.format,
            settings.litert,
            calibration,
            settings.input,
            central_fraction,
            decision,
            refit,
            facts,
        )
    height, width, channels = model.image_shape
    named = f"; {len(model.class_names)} class names with it" if model.class_names else ""
    takes = f"uint8 images (n, {height}, {width}, {channels}) in{named}"
    for line in epochs_in_words(files):
        _log.info("%s", line)
    _log.info("Wrote %s, %s: %s.", output, how, takes)
    if fitted:
        _log.info("%s", fitted.in_words(decision))
        if doubt := fitted.doubt(evidence):
            _log.warning("%s", doubt)
    if expected:
        _log.info("Checking it on %d images.", len(expected.labels))
        fraction = central_fraction if settings.input == "jpeg" else None
        _log.info("%s", expected.table(written, fraction))
    if settings.share is not None:
        _log.info("%s", share.what_is_left(output))
    return written


def folded(
    model: Predictor, members: bool = False, fuse_batch_norm: bool = False
) -> FoldedModel | DeepEnsemble:
    """`deployment.fold`, but that heads are kept too where probabilities are averaged."""
    if isinstance(model, DeepEnsemble):
        models = [folded(each, members, fuse_batch_norm) for each in model.models]
        return DeepEnsemble(models, ensemble=model.ensemble)
    kept = members or model.ensemble == "probabilities"
    return deployment.fold(model, kept, fuse_batch_norm)


def _output_folder(settings, files):
    """Where to write.

    Raises:
        ValueError: if it is not said, and there are several models.
        FileExistsError: if there is anything.
    """
    if settings.share is not None:
        return share.new_folder(settings.share)
    if len(files) > 1 and not settings.output_dir:
        raise ValueError("several models need an --output_dir")
    if any(map(hub.is_name, settings.model)) and not settings.output_dir:
        raise ValueError("a model of the hub needs an --output_dir")
    beside = files[0] if files[0].is_dir() else files[0].parent
    return new_folder(settings.output_dir or beside / "exported")


def _how_folded(settings, exported):
    """What became of the members, for the user."""
    if not settings.fold:
        return "not folded"
    kept = any(network.output.shape[1] > 1 for network in exported.networks)
    return "folded, heads kept" if kept else "folded"
