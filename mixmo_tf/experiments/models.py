"""The flags of the scripts that take trained models."""

from absl import flags

from mixmo_tf.deployment import loading
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.formats.saved_model import is_saved_model
from mixmo_tf.models.exported import ExportedModel
from mixmo_tf.networks.precision import PRECISIONS, set_precision
from mixmo_tf.paths import expanded, resolved
from mixmo_tf.training import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "model",
    None,
    "A run's folder or a .keras file; several, with commas, make a deep ensemble. evaluate.py also "
    "takes a SavedModel, and --model several times.",
)
flags.DEFINE_enum(
    "ensemble", None, ENSEMBLES, "What is averaged; if not set, what the model was trained with."
)
flags.DEFINE_enum(
    "precision", None, PRECISIONS, "What the networks compute in; if not set, as in training."
)
flags.DEFINE_boolean(
    "trust",
    False,
    "Load a SavedModel whatever operations it holds: it can do all that you can.",
)
flags.mark_flag_as_required("model")


def groups():
    """A list of pathlib.Path for each --model."""
    found = [[expanded(name) for name in names_in(group)] for group in FLAGS.model]
    for group, files in zip(FLAGS.model, found, strict=True):
        if len(set(map(resolved, files))) < len(files):
            raise ValueError(f"--model names a model twice: {group}")
    return found


def names_in(group):
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


def only_group():
    """The files of --model, which must be there once."""
    if len(FLAGS.model) > 1:
        raise ValueError(f"--model must be there once, got {' and '.join(FLAGS.model)}")
    return groups()[0]


def load(files):
    """The models, a list of MixMo, DeepEnsemble and ExportedModel."""
    models = []
    for file in files:
        if is_saved_model(file):
            if FLAGS.precision:
                raise ValueError(f"{file} is a SavedModel, whose precision is fixed")
            models.append(ExportedModel(file, FLAGS.trust))
            continue
        models.append(checkpoints.load_model(file, compile=False))
        _set_precision(models[-1])
    return models


def load_as_one(files):
    """The model, or several as a DeepEnsemble."""
    for file in filter(is_saved_model, files):
        raise ValueError(f"{file} is a SavedModel already; name the run or the .keras file")
    model = loading.load_as_one(files, FLAGS.ensemble)
    _set_precision(model)
    return model


def _set_precision(model):
    for network in model.networks if FLAGS.precision else ():
        set_precision(network, FLAGS.precision)
