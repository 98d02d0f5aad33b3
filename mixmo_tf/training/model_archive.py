"""A model takes no more than is stored of it: sizes are checked before anything is unpacked.

Keras stores a model in three files: metadata.json, config.json, from which the model is built, and
model.weights.h5, which is read into it. A .keras file is a zip file of them, uncompressed; where
models are shared, they lie in a folder (`save(…, zipped=False)`).
"""

import contextlib
import io
import math
import pathlib
import zipfile
from collections.abc import Iterator

import h5py

from mixmo_tf import arguments, strict_json
from mixmo_tf.networks import variable_limit

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
PARTS = "metadata.json", _CONFIG, _WEIGHTS
_IN_NETWORK = "vars/average_0"  # in the weights of a Trainer that keeps averages: where they are
_ASSETS = "assets"  # of layers that no model of this package has; Keras makes an empty folder
_MOST_CONFIG = 2**23  # bytes of config.json; a ResNet-50's has 200,000
_MOST_PARTS = 100_000  # dicts and lists in it; a ResNet-50's has 3,500
_TIMES = 6  # what is built may take as often what is stored: Adam's and EMA's state may be new
_SLACK = 2**26  # bytes that a model may take beyond that


class RefusedError(ValueError):
    """A model cannot be unpacked, or takes more than what is stored of it explains."""


def is_folder(path: pathlib.Path) -> bool:
    """Whether `path` is a folder that Keras saved a model in; one with a model.keras is a run's."""
    return (path / _CONFIG).is_file() and not (path / "model.keras").is_file()


@contextlib.contextmanager
def within_its_size(file: pathlib.Path) -> Iterator[None]:
    """Lets a model be loaded inside, unless it takes more memory than weights are stored.

    Args:
        file: pathlib.Path of a .keras file, or of a folder, see `is_folder`. If it is neither, it
            is left to what loads it.

    Raises:
        RefusedError: if it is compressed, or claims sizes that it does not have: on entry, or
            as soon as a variable would be too large. The message names the file.
    """
    if is_folder(file):
        stored = _checked_folder(file)
    elif zipfile.is_zipfile(file):
        stored = _checked_size(file)
    else:
        yield
        return
    try:
        with variable_limit.at_most(_TIMES * stored + _SLACK):
            yield
    except variable_limit.TooLargeError as error:
        raise RefusedError(
            f"{file} is refused: its {error}, and it holds weights of {stored:,}"
        ) from None


def has_averages_aside(file: pathlib.Path) -> bool:
    """Whether raw weights are in the network of the model, and their averages beside it.

    Args:
        file: as for `within_its_size`, which has passed it.
    """
    with contextlib.ExitStack() as opened:
        if is_folder(file):
            weights = opened.enter_context(open(file / _WEIGHTS, "rb"))
        else:
            archive = opened.enter_context(zipfile.ZipFile(file))
            weights = opened.enter_context(archive.open(_WEIGHTS))
        stored = opened.enter_context(h5py.File(weights, "r"))
        return _IN_NETWORK in stored and not stored[_IN_NETWORK][()]


def _checked_size(file):
    """The bytes of the weights in a .keras file, whose parts are as large as they say."""
    try:
        with zipfile.ZipFile(file) as archive:
            fault = _fault(archive, file.stat().st_size)
            if not fault:
                weights, config = archive.read(_WEIGHTS), archive.read(_CONFIG)
    except Exception as error:  # of a damaged zip file
        reason = arguments.first_line(error).strip("'\"")
        raise RefusedError(f"{file} is not a readable .keras file: {reason}") from error
    if fault := fault or _config_fault(config) or _weights_fault(io.BytesIO(weights), len(weights)):
        raise RefusedError(f"{file} is refused: {fault}")
    return len(weights)


def _checked_folder(folder):
    """The same of a folder."""
    config, weights = folder / _CONFIG, folder / _WEIGHTS
    if not weights.is_file():
        raise RefusedError(f"{folder} is not a readable model: it has no {_WEIGHTS}")
    if not _opens(weights):
        raise RefusedError(f"{folder} is not a readable model: {_WEIGHTS} is damaged or cut short")
    size = weights.stat().st_size
    fault = _too_long(config.stat().st_size)
    if not fault and (folder / _ASSETS).is_dir() and any((folder / _ASSETS).iterdir()):
        fault = f"it holds {_ASSETS}, which are not of a model of this package"
    if not fault:
        with open(weights, "rb") as opened:
            fault = _config_fault(config.read_bytes()) or _weights_fault(opened, size)
    if fault:
        raise RefusedError(f"{folder} is refused: {fault}")
    return size


def _opens(weights):
    """Whether it is an HDF5 file as long as it says."""
    try:
        with h5py.File(weights, "r"):
            return True
    except OSError:
        return False


def _fault(archive, size):
    """What is wrong with the sizes of a zip file's members, in words; None if nothing."""
    for member in archive.infolist():
        if member.filename not in PARTS:
            return f"it holds {member.filename!r}, which is not of a model of this package"
        if member.compress_type != zipfile.ZIP_STORED:
            return f"{member.filename} in it is compressed; Keras stores it as it is (zip -0)"
    total = sum(member.file_size for member in archive.infolist())
    if total > size:
        return f"it claims to unpack to {total:,} bytes, and has {size:,}"
    return _too_long(archive.getinfo(_CONFIG).file_size)


def _too_long(size):
    """The same of the size of config.json."""
    return f"no model's {_CONFIG} has {size:,} bytes" if size > _MOST_CONFIG else None


def _config_fault(config):
    """The same of the config.json, of as many layers as no model has."""
    try:
        parts, count = [strict_json.loads(config)], 0
    except ValueError:
        return None  # as Keras will say
    while parts:
        part = parts.pop()
        if isinstance(part, (dict, list)):
            count += 1
            parts.extend(part.values() if isinstance(part, dict) else part)
    if count > _MOST_PARTS:
        return f"its {_CONFIG} has {count:,} parts; a ResNet-50's has a few thousand"
    return None


def _weights_fault(weights, stored):
    """The same of the arrays in the weights, which may be compressed in turn."""

    def fault(name, item):
        if not isinstance(item, h5py.Dataset):
            return None
        # a chunk is unpacked whole, however little of it belongs to the array
        size = max(item.nbytes, item.dtype.itemsize * math.prod(item.chunks or ()))
        if size > stored:
            return f"{name} in its weights takes {size:,} bytes, of {stored:,}"
        return None

    try:
        with h5py.File(weights, "r") as file:
            return file.visititems(fault)
    except Exception:  # whatever a damaged file makes h5py raise; Keras will say so
        return None
