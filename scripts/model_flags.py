"""The flags of the scripts that take trained models."""

import pathlib

from absl import flags

from mixmo_tf import deep_ensemble
from mixmo_tf.ensemble import ENSEMBLES
from mixmo_tf.networks.precision import PRECISIONS, set_precision

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "model", None, "A run's folder or a .keras file; several, with commas, make a deep ensemble."
)
flags.DEFINE_enum(
    "ensemble", None, ENSEMBLES, "What is averaged; if not set, what the model was trained with."
)
flags.DEFINE_enum(
    "precision", None, PRECISIONS, "What the networks compute in; if not set, as in training."
)
flags.mark_flag_as_required("model")
flags.register_validator(
    "model",
    lambda files: files is None or (bool(files) and all(files)),
    "must be runs' folders or .keras files, with commas between them",
)


def files():
    """The paths of --model."""
    return [pathlib.Path(file).expanduser() for file in FLAGS.model]


def load():
    """The model of --model, or several as a DeepEnsemble."""
    if len(set(map(pathlib.Path.resolve, files()))) < len(FLAGS.model):
        raise ValueError(f"--model names a model twice: {','.join(FLAGS.model)}")
    model = deep_ensemble.load(files(), FLAGS.ensemble)
    for network in model.networks if FLAGS.precision else ():
        set_precision(network, FLAGS.precision)
    return model
