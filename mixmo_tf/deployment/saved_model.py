"""SavedModel: for TensorFlow alone, and for TensorFlow Serving."""

import pathlib

import tensorflow as tf

from mixmo_tf.deployment import signature
from mixmo_tf.ensemble import Ensemble


def write(model, folder, takes_none=True):
    """Writes a model's SavedModel; its signature `serving_default` is that of `Served`.

    Args:
        model: Ensemble.
        folder: pathlib.Path; created if need be.
        takes_none: bool, see `signature.Served`.
    """
    served = signature.Served(model, takes_none)
    module = tf.Module()  # keras.export.ExportArchive would write every weight twice
    module.weights = [v.value for network in model.networks for v in network.variables]
    function = tf.function(served.call, input_signature=served.input_signature)
    tf.saved_model.save(module, folder, signatures=function)


def is_saved_model(path):
    """Whether there is a SavedModel's folder at `path`."""
    return (pathlib.Path(path).expanduser() / "saved_model.pb").is_file()


class ExportedModel(Ensemble):
    """A SavedModel that `export` wrote: predicts, and is judged, like the model it is from.

    Args:
        path: its folder; ~ is the home folder.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, or `export` has not written it.
    """

    networks = ()
    counts_steps = False

    def __init__(self, path):
        path = pathlib.Path(path).expanduser()
        if not is_saved_model(path):
            raise FileNotFoundError(f"there is no SavedModel at {path}")
        if not (path / signature.DESCRIPTION).is_file():
            raise ValueError(f"{path} has no {signature.DESCRIPTION}: it is not from MixMo.export")
        try:
            description, class_names = signature.read_description(path)
            module = tf.saved_model.load(path)
            function = module.signatures["serving_default"]
            _, num_members, num_classes = function.structured_outputs["member_logits"].shape
            shape, ensemble = description["image_shape"], description["ensemble"]
        except Exception as error:  # whatever a damaged file makes TensorFlow raise
            reason = str(error).split("\n")[0] or type(error).__name__
            raise ValueError(f"{path} is no readable SavedModel: {reason}") from error
        super().__init__(num_members, num_classes, shape, ensemble, class_names)
        self._module, self._function = module, function

    def logits_of_some(self, images):
        """Pixels 0–255 (n, H, W, channels), rounded to uint8 -> float32 (n, M, C)."""
        if images.dtype != tf.uint8:
            images = tf.saturate_cast(tf.round(images), tf.uint8)
        return self._function(images=images)["member_logits"]

    def fit(self, *args, **kwargs):
        """A SavedModel is not trained: the MixMo that it is from was."""
        raise ValueError("a SavedModel is not trained: train the MixMo, and export it again")

    def save(self, *args, **kwargs):
        """A SavedModel stays a folder."""
        raise ValueError("a SavedModel is saved already: copy its folder")

    export = save
