"""A backbone with the weights that `--pretrained` names, and how these want their pixels."""

import os
import pathlib
import re
import warnings

import keras
import numpy as np

from mixmo_tf import arguments
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.networks import applications, parts
from mixmo_tf.paths import expanded
from mixmo_tf.training import checkpoints, model_archive

_DIVIDES_TWICE = f"{applications.PREFIX}EfficientNetB"  # and not EfficientNetV2…
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in [0, 1]


def backbone(settings: Settings, image_shape: tuple[int, ...]) -> keras.Model:
    """The model of keras.applications that settings name, without its top.

    Grey images go to a pretrained one in all of its three channels. A run that goes on from a
    checkpoint takes all weights from it, and needs the file no more.

    Raises:
        ValueError: if it does not take such images, or the weights cannot be read or are not its.
        FileNotFoundError: if there is no such file.
    """
    network, wanted = settings.network, settings.pretrained
    if wanted == "none":
        return applications.build(network, image_shape)
    image_shape = (*image_shape[:2], 3 if image_shape[2] == 1 else image_shape[2])
    if _goes_on(settings):
        return applications.build(network, image_shape)
    if wanted == "imagenet":
        model = _downloaded(network, image_shape)
    else:
        model = applications.build(network, image_shape)
        _read(model, network, expanded(wanted))
    if applications.pixels_of(network)[2]:
        _reverse_channels(model)
    return model


def mean_and_std(
    settings: Settings, network: keras.Model, mean: tuple, std: tuple
) -> tuple[tuple | None, tuple | None]:
    """By what the pixels of a backbone are normalised, of whose images `mean` and `std` are.

    Returns:
        None twice where the network does it itself; what the pretrained weights are used to; the
        images' own for new weights.
    """
    if parts.rescales(network):
        return None, None
    if settings.pretrained == "none":
        return mean, std
    found = applications.pixels_of(settings.network)[:2]
    is_grey = parts.image_shape(network)[2] == 1
    return tuple((float(np.mean(each)),) if is_grey else each for each in found)


def _goes_on(settings):
    """Whether there is a checkpoint with all that a file of weights would be read for.

    What an EfficientNet normalises by is no weight of the network, see `FixedNormalization`.
    """
    has_begun = bool(checkpoints.files(settings.path() / "checkpoints"))
    return has_begun and not settings.network.startswith(_DIVIDES_TWICE)


def _downloaded(network, image_shape):
    try:
        return applications.build(network, image_shape, "imagenet")
    except ValueError:
        raise
    except Exception as error:  # Keras' own, with an address in it
        file = re.search(r"[^/\s]+\.h5", str(error))
        folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")) / "models"
        raise ValueError(
            f"--pretrained=imagenet needs {file[0] if file else 'a file'}, which cannot be "
            f"downloaded: put it into {folder}, or name it, --pretrained=FILE"
        ) from error


def _read(model, network, file):
    """Gives the model the weights in a file."""
    if not file.is_file():
        raise FileNotFoundError(f"there are no weights at {file}, which --pretrained names")
    if file.suffix not in (".h5", ".keras"):
        raise ValueError(
            f"--pretrained must be imagenet, none, or a file .weights.h5, .h5 or .keras, got {file}"
        )
    try:
        if file.suffix == ".h5":
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # of what Keras would leave out
                model.load_weights(file)
        else:
            with model_archive.within_its_size(file):
                _take(model, keras.saving.load_model(file, compile=False))
        _let_it_normalise(model, network)
    except model_archive.RefusedError:
        raise
    except Exception as error:  # whatever Keras and h5py raise of another model's file
        reason = arguments.first_line(error).split(". ")[0]
        name = network.removeprefix(applications.PREFIX)
        is_whole = file.suffix == ".keras"  # then what is around the model does no harm
        advice = "" if is_whole else "; if a model is built around it, save that whole, as .keras"
        raise ValueError(f"{file} has no weights of a {name}: {reason}{advice}") from error


def _take(model, other):
    """The weights of a model that is the same but for its top."""
    if isinstance(other, Predictor):
        raise ValueError("it holds a trained run, which --initialize_from takes")
    ours, theirs = model.weights, other.weights
    for i, weight in enumerate(ours):
        shape = tuple(theirs[i].shape) if i < len(theirs) else "none"
        if shape != tuple(weight.shape):
            raise ValueError(f"{weight.path} has the shape {tuple(weight.shape)}, there {shape}")
    model.set_weights([each.numpy() for each in theirs[: len(ours)]])


def _let_it_normalise(model, network):
    """Lets the model normalise by what it has just read, as Keras lets it with its own weights.

    Where Keras downloads an EfficientNet's weights, it divides what the network has normalised by
    the roots of ImageNet's standard deviations, and not where it reads them from a file.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            mean, variance, *count = layer.get_weights()
            is_of_imagenet = np.shape(mean) == (3,) and np.allclose(mean, _MEAN, atol=1e-3)
            if network.startswith(_DIVIDES_TWICE) and is_of_imagenet:
                variance = variance * np.array(_STD, variance.dtype)
            layer.set_weights([mean, variance, *count])
            layer.finalize_state()


def _reverse_channels(model):
    """Lets a model that was trained with blue first take red first."""
    first = next(layer for layer in model.layers if layer.weights)
    kernel, *bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], *bias])
