"""Corrupted images made of any test images, once, and kept in the layout of CIFAR-10-C.

They are made with `imagecorruptions-imaug`, a kept fork of the code of Michaelis et al. 2019
(arXiv 1907.07484), whose constants are those of ImageNet-C. CIFAR-10-C has milder ones, for small
images, so results on the two cannot be compared.

Every image has a seed of its own, a function of (seed, corruption, severity, index), so the
result depends neither on the number of processes nor on what was made before.
"""

import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import logging
import math
import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from mixmo_tf import extras, outputs, paths, strict_json
from mixmo_tf.data import corruptions, image_folder
from mixmo_tf.data.corruptions import LABELS, NAMES, NOTE, SEVERITIES
from mixmo_tf.data.examples import Examples
from mixmo_tf.data.records import Records

SMALLEST = 32  # pixels of a side, as the library asks for
_LIBRARY = "imagecorruptions-imaug"
_CHANNELS = (1, 3)
_READ_BATCH = 1000  # images that are handed to the processes, which then are waited for
_CHUNK = 25  # images that a process takes at once
_PARTIAL = r"\w+\.npy|made\.json"
_log = logging.getLogger(__name__)


def make(
    examples: Examples | Records,
    folder: pathlib.Path,
    split: str,
    names: tuple[str, ...] = NAMES,
    seed: int = 0,
    processes: int = -1,
) -> corruptions.Found:
    """Makes what is missing, in all severities; a progress bar shows how far it is.

    Each file is written atomically, so a call that was interrupted goes on where it was.

    Args:
        examples: the images, of at least 32×32 pixels, RGB or grey (which take the grey of what
            the library makes of them).
        folder: where the files are, or will be.
        split: str, which images of the dataset they are, for the note.
        names: of `corruptions.NAMES`, what is wanted.
        seed: int >= 0.
        processes: int, how many work at once; -1 for one on each core.

    Returns:
        corruptions.Found, what is there now.

    Raises:
        ValueError: if the images are too small, or the folder holds corruptions of other images,
            or something else.
        ImportError: if something is to be made without the extra `corruptions`.
        OSError: if it cannot be written, or the disk has too little room.
    """
    missing = [name for name in names if not (folder / f"{name}.npy").exists()]
    note = _note(examples, split, seed)
    if missing:
        extras.check("corruptions", ["imagecorruptions"])
        note["library"] = f"{_LIBRARY} {importlib.metadata.version(_LIBRARY)}"
        _check_images(examples)
    _check_folder(folder, note)
    if missing:
        _check_room(folder, examples, len(missing))
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            outputs.remove_partial(folder, _PARTIAL)
            _check_note(folder / NOTE, note)
            missing = [name for name in missing if not (folder / f"{name}.npy").exists()]
            _make(examples, folder, missing, seed, processes)
    return corruptions.of_arrays(folder, examples.info.class_names)


def _note(examples, split, seed):
    """What made.json says, but for the library: which images, and what they are drawn with."""
    info = examples.info
    note = {
        "dataset": info.name,
        "split": split,
        "examples": len(examples),
        "image_shape": list(info.image_shape),
        "images": examples.fingerprint(),
        "seed": seed,
    }
    if info.name.startswith(image_folder.PREFIX):  # a file may be replaced under its name
        note["content"] = _content(examples)
    return note


def _content(examples):
    """A hash, str, of all bytes of the images' files."""
    content = hashlib.sha256()
    for name in examples.names:
        file = paths.content(pathlib.Path(f"{examples.location}{name}"))
        content.update(hashlib.sha256(file).digest())
    return content.hexdigest()


def _check_images(examples):
    height, width, channels = examples.info.image_shape
    if min(height, width) < SMALLEST or channels not in _CHANNELS:
        raise ValueError(
            f"made corruptions need images of {SMALLEST}×{SMALLEST} pixels or more, RGB or grey, "
            f"got {height}×{width} with {channels} channels"
        )


def _check_folder(folder, note):
    """Raises ValueError unless the folder is new, empty, or of the very images and seed."""
    file = folder / NOTE
    if not file.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} holds other files, no {NOTE}; choose another folder")
        return
    try:
        there = strict_json.loads(paths.content(file))
        there.setdefault("content", note.get("content"))  # notes of once lack it
        differs = next((key for key in note if there[key] != note[key]), None)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{file} is damaged; choose another folder") from None
    if differs in ("images", "content"):
        raise ValueError(f"{folder} was made of other images of {note['dataset']}; choose another")
    if differs:
        raise ValueError(
            f"{folder} was made with {differs} {there[differs]}, not {note[differs]}; choose "
            "another folder"
        )


@contextlib.contextmanager
def _alone(folder):
    """Under it, no other process makes images in the folder; one that does is waited for."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("Another process makes images in %s: waiting for it.", folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which releases it, as a kill does


def _check_note(file, note):
    """Writes the note; one that another process has written meanwhile must be of these images."""
    if file.exists():
        _check_folder(file.parent, note)
    else:
        outputs.write(file, strict_json.dumps(note))


def _check_room(folder, examples, count):
    """Raises OSError unless `count` files more have room on the disk."""
    needed = count * len(SEVERITIES) * len(examples) * math.prod(examples.info.image_shape)
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise OSError(
            f"cannot write {folder}: {count} corruptions take {needed / 1e9:,.1f} GB, and there "
            f"are {free / 1e9:,.1f} free"
        )


def _make(examples, folder, names, seed, processes):
    import joblib  # imported here: an extra

    if not (folder / LABELS).exists():
        labels = [of_images for _, of_images in _batches(examples)]
        labels = np.tile(np.concatenate(labels).astype(np.int64), len(SEVERITIES))
        with outputs.atomically(folder / LABELS, replace=True) as partial:
            np.save(partial, labels)
    total = len(names) * len(SEVERITIES) * len(examples)
    with (
        tqdm(total=total, unit=" images", disable=None) as progress,
        joblib.Parallel(processes, max_nbytes=None) as parallel,
    ):
        for name in names:
            progress.set_description(f"Making {name}")
            with outputs.atomically(folder / f"{name}.npy", replace=True) as partial:
                with open(partial, "wb") as file:
                    _write_array(file, examples, name, seed, parallel, progress)


def _write_array(file, examples, name, seed, parallel, progress):
    """Writes uint8 (5·N, h, w, channels), as numpy.save does, in the order in which it is made."""
    import joblib  # imported here: an extra

    height, width, channels = examples.info.image_shape
    shape = (len(SEVERITIES) * len(examples), height, width, channels)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    start, done = file.tell(), 0
    for images, _ in _batches(examples):
        rows = slice(done, done + len(images))
        for severity in SEVERITIES:
            seeds = np.random.SeedSequence((seed, NAMES.index(name), severity))
            seeds = seeds.generate_state(len(examples))[rows]
            tasks = [
                joblib.delayed(_corrupter())(images[some], name, severity, seeds[some])
                for some in (slice(i, i + _CHUNK) for i in range(0, len(images), _CHUNK))
            ]
            file.seek(start + ((severity - 1) * len(examples) + done) * images[0].nbytes)
            for made in parallel(tasks):
                file.write(made.tobytes())
            progress.update(len(images))
        done += len(images)


def _batches(examples):
    """Images and labels, as arrays; all damaged images are named."""
    try:
        yield from examples.batches(_READ_BATCH).as_numpy_iterator()
    except tf.errors.OpError:
        examples.find_damaged()
        raise


@functools.cache
def _corrupter():
    """The function that the processes run, on a chunk of images.

    As it is defined in a function, it is sent to them whole, and not looked for in this package:
    they need not import TensorFlow, which would take seconds and half a gigabyte each.
    """

    def corrupt(images, name, severity, seeds):
        import warnings

        import cv2
        import imagecorruptions
        import numpy as np
        from PIL import Image

        cv2.setNumThreads(1)
        made = np.empty_like(images)
        # what the library draws from; where there is one process only, it is the user's
        state = np.random.get_state()  # noqa: NPY002
        try:
            for i, (image, seed) in enumerate(zip(images, seeds, strict=True)):
                np.random.seed(seed)  # noqa: NPY002
                # these two follow a seed of their own alone
                drawn = {"seed": int(seed)} if name in ("impulse_noise", "glass_blur") else {}
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    corrupted = imagecorruptions.corrupt(image, severity, name, **drawn)
                if images.shape[-1] == 1:
                    corrupted = np.asarray(Image.fromarray(corrupted).convert("L"))[..., None]
                made[i] = corrupted
        finally:
            np.random.set_state(state)  # noqa: NPY002
        return made

    return corrupt
