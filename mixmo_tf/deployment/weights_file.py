"""The weights in a file of PyTorch or safetensors, as arrays: nothing in it is executed, or grows.

A checkpoint of the published code is a dict with the network's state under
`classifier_state_dict`; a bare state, a dict of tensors by name, does as well. What else is in
it, such as the optimizer's state or numbers of NumPy, is left out.
"""

import mmap
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments, extras
from mixmo_tf.deployment import pickled_size, torch_state
from mixmo_tf.paths import expanded

STATE = "classifier_state_dict"
_PREFIXES = re.compile(r"^(?:module\.|_orig_mod\.)+")  # of DataParallel and torch.compile
_PICKLES = b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"  # in a zip file, or alone
_GROWS = re.compile(rb"c(?:builtins|__builtin__)\nbytearray\n")  # as long as the pickle says
_MOST_RECORDS = 50_000  # in a zip file: a tensor each; a WRN-28-10 and its optimizer have 500
_MOST_PICKLED = 2**23  # bytes of the pickle in it
_MOST_OBJECTS = 10 * _MOST_PICKLED  # in its tuples; what is there twice counts twice
_PICKLES_OF_OLD = 5
_SLACK = 2**20
_OF_NUMPY = (
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
)


class LeftOut:
    """What stands in a checkpoint for an object of NumPy; no code of NumPy's is run."""

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state):
        pass


def read(file: str | os.PathLike) -> dict[str, np.ndarray]:
    """The weights in a PyTorch checkpoint or a `.safetensors` file, by the published code's names.

    Returns:
        dict of float32 arrays.

    Raises:
        ImportError: unless the extra `torch` is installed.
        FileNotFoundError: if there is no file.
        ValueError: if it holds anything but weights, claims sizes that it does not have, or has
            none; the message names the file.
    """
    arguments.path("file", file)
    file = expanded(file)
    if not file.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {file}")
    found = _of_safetensors(file) if file.suffix == ".safetensors" else _of_torch(file)
    arrays = {}
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{file}: {name} has values that are not finite")
        short = _PREFIXES.sub("", name)
        if short in arrays:
            raise ValueError(f"{file} has {short} twice, once as {name}")
        arrays[short] = array
    return arrays


def some(names: Iterable) -> str:
    """The first names, for a message."""
    names = [name if str(name).isprintable() else repr(name) for name in names]
    more = [f"… ({len(names)})"] if len(names) > 5 else []
    return ", ".join([*map(str, names[:5]), *more]) or "nothing"


def _of_safetensors(file):
    """float32 arrays; the format's own reader holds each size against the file's."""
    extras.check("torch", ["safetensors"])
    import safetensors  # imported here: an extra

    arrays = {}
    try:
        with safetensors.safe_open(file, framework="np") as opened:
            for name in opened.keys():
                _check_name(file, name)
                arrays[name] = opened.get_tensor(name)
    except (safetensors.SafetensorError, TypeError, AttributeError) as error:  # NumPy lacks 8 bits
        raise ValueError(f"{file} is no safetensors file of floats: {error}") from error
    for name, array in arrays.items():
        is_floating = tf.dtypes.as_dtype(array.dtype).is_floating
        if not (is_floating or name.endswith(torch_state.COUNTER)):
            raise ValueError(f"{file}: {name} is no array of floats: {array.dtype}")
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def _of_torch(file):
    """float32 arrays of a PyTorch checkpoint."""
    extras.check("torch", ["torch"])
    import torch  # imported here: an extra

    with open(file, "rb") as opened:
        is_pickle = opened.read(2) in _PICKLES
    if fault := _fault(file):
        raise ValueError(f"{file} is refused: {fault}; nothing of it was executed")
    try:
        left_out = torch.serialization.safe_globals([(LeftOut, name) for name in _OF_NUMPY])
        with warnings.catch_warnings(), left_out:
            warnings.simplefilter("ignore")  # of pickles that PyTorch has not written
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file of another kind makes PyTorch raise
        if not is_pickle or not isinstance(error, pickle.UnpicklingError):
            raise ValueError(f"{file} is no PyTorch checkpoint") from error
        named = re.search(r"GLOBAL (\S+) ", str(error))
        what = f"code or objects ({named[1]})" if named else "code or objects, or damage"
        raise ValueError(
            f"{file} is refused: it holds {what}, not weights alone; nothing of it was executed. "
            f"If you trust it, save its {STATE} alone"
        ) from None
    return _arrays(file, _state(file, content))


def _fault(file):
    """What in a PyTorch file takes more than is stored, in words; None if nothing."""
    size = file.stat().st_size
    if not size:
        return None
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as all_:
        if _GROWS.search(all_):
            return "it holds code or objects (builtins.bytearray), not weights alone"
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
    except Exception:  # no zip file, or a damaged one, as PyTorch will say
        return _repeats(file)
    if len(records) > _MOST_RECORDS:
        return f"it holds {len(records):,} records"
    for record in records:
        if record.compress_type != zipfile.ZIP_STORED:
            return f"{record.filename} in it is compressed; PyTorch stores it as it is"
        if record.filename.endswith("data.pkl") and record.file_size > _MOST_PICKLED:
            return f"no network's {record.filename} has {record.file_size:,} bytes"
    total = sum(record.file_size for record in records)
    if total > size:
        return f"it claims to unpack to {total:,} bytes, and has {size:,}"
    return _repeats(file, [r.filename for r in records if r.filename.endswith("data.pkl")])


def _repeats(file, records=None):
    """The same of tuples in the pickles of a file, or of records of a zip file."""
    if records is None:  # PyTorch's old format has several, one after the other
        with open(file, "rb") as opened:
            found = any(
                pickled_size.is_beyond(opened, _MOST_OBJECTS) for _ in range(_PICKLES_OF_OLD)
            )
    else:
        with zipfile.ZipFile(file) as archive:
            found = any(pickled_size.is_beyond(archive.read(r), _MOST_OBJECTS) for r in records)
    return "it holds tuples that stand for many times what is stored" if found else None


def _state(file, content):
    """The dict of tensors in what a checkpoint holds."""
    import torch  # imported here: an extra

    if isinstance(content, dict) and STATE in content:
        state = content[STATE]
        if isinstance(state, dict):
            state = {n: value for n, value in state.items() if not isinstance(value, LeftOut)}
        if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
            raise ValueError(f"{file}: its {STATE} is no dict of tensors")
        return state
    tensors = {}
    if isinstance(content, dict):  # a bare state; a name with a dot is a weight's
        tensors = {n: t for n, t in content.items() if torch.is_tensor(t) and "." in str(n)}
    if not tensors:
        found = f"; it has {some(content)}" if isinstance(content, dict) else ""
        raise ValueError(f"{file} has no {STATE}{found}")
    return tensors


def _arrays(file, state):
    """A state's tensors as float32 arrays."""
    import torch  # imported here: an extra

    size = file.stat().st_size
    total = 0
    for name, tensor in state.items():
        _check_name(file, name)
        plain = tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_meta
        if not plain or not (tensor.is_floating_point() or name.endswith(torch_state.COUNTER)):
            kind = f"{tensor.dtype}, {tensor.layout}, {tensor.device}"
            raise ValueError(f"{file}: {name} is no array of floats: {kind}")
        total += tensor.numel() * tensor.element_size()
        if total > size + _SLACK:  # one number that stands for many
            raise ValueError(
                f"{file} is refused: {name}, {tuple(tensor.shape)}, and those before it take "
                f"{total:,} bytes, and it has {size:,}"
            )
    return {name: t.detach().to(torch.float32).numpy() for name, t in state.items()}


def _check_name(file, name):
    if not isinstance(name, str) or not name.isprintable():
        raise ValueError(f"{file}: a weight has the name {name!r}")
