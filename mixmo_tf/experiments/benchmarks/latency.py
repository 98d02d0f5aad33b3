"""How long one's own model takes to answer, in each format, beside a plain network."""

import json
import logging
import math
import pathlib
import subprocess
import sys
import tempfile
from typing import NamedTuple

import numpy as np

from mixmo_tf import deployment
from mixmo_tf.deployment.loading import is_exported
from mixmo_tf.experiments import images, network_plan, tables
from mixmo_tf.experiments.benchmarks import timing
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings
from mixmo_tf.experiments.export import folded
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.formats import FORMATS
from mixmo_tf.models.mixmo import MixMo
from mixmo_tf.networks import set_precision
from mixmo_tf.paths import expanded

_log = logging.getLogger(__name__)
_LITERT_DTYPES = ("float32", "int8")
_CALIBRATION = 8  # images of int8: what they show changes no time
_LEAST_CALLS = 100  # that a 99th percentile is of
_IMAGES = 64  # of a turn, where more calls than the least are needed for it
_PLAIN = "plain "


class Latency(NamedTuple):
    """What was measured of one file, with a number of threads and of images."""

    file: str  # its name, or "SavedModel"
    is_plain: bool  # whether it is the plain network's
    num_threads: int
    num_images: int  # of a call
    median: float  # seconds of a call
    percentile_99: float
    images_per_second: float
    processors: float  # how many were busy, on average


def measure_latency(settings: BenchmarkSettings) -> list[Latency]:
    """Times the model that settings name; logs a table for each number of threads and images.

    A run or a .keras file is folded and written, to a temporary folder, in every format that is
    possible here, beside the plain network of its run's flags with new weights. What export wrote
    is timed as it is, alone.

    Raises:
        ValueError, OSError, ImportError: if the model cannot be loaded, or not be timed.
    """
    path = expanded(settings.model)
    model = deployment.load(path)
    with tempfile.TemporaryDirectory() as folder:
        files, what = _files(path, model, pathlib.Path(folder))
        height, width, channels = model.image_shape
        _log.info(
            "%s, images of %d×%d×%d, %d turns%s",
            path, height, width, channels, settings.turns, what,
        )  # fmt: skip
        latencies = []
        for num_threads in settings.threads or (1,):
            for of_size in _timed(settings, files, model.image_shape, num_threads):
                _log.info("%s", _table(of_size, _num_calls(settings, of_size[0].num_images)))
                latencies += of_size
    return latencies


def _files(path, model, folder):
    """What is timed, paths by name, and how to say it in a line."""
    if is_exported(path):
        return {"SavedModel" if path.is_dir() else path.name: path}, ""
    try:
        model = folded(model)
    except ValueError as error:
        raise ValueError(f"{error}; or export it with --nofold, and time that") from None
    files = _written(model, folder / "model", says=True)
    plain = _plain_model(path, model)
    if plain is None:
        return files, "; beside it is no run.flags, and so no plain network"
    of_plain = _written(folded(plain), folder / "plain")
    files |= {_PLAIN + name: file for name, file in of_plain.items()}
    return files, f"; beside each the plain network, {plain.network.name}"


def _plain_model(path, model):
    """A MixMo of one member, as the run's flags say, for the images of a model; None without."""
    folder = images.folder_of_run(path)
    if folder is None:
        return None
    settings = Settings.from_flagfile(folder / "run.flags", num_members=1, pretrained="none")
    network = network_plan.plan(settings, 1, model.num_classes, model.image_shape).build()
    set_precision(network, settings.precision)
    return MixMo(network, mixing=None)


def _written(model, folder, says=False):
    """The model in each format that is possible, paths by name; `says` which are not, and why."""
    noise = np.random.default_rng(0).integers(0, 256, (_CALIBRATION, *model.image_shape))
    files = {}
    for name in FORMATS:
        for dtype in _LITERT_DTYPES if name == "litert" else ("float32",):
            path = folder / f"{name}_{dtype}"
            try:
                (file,) = deployment.export(model, path, [name], [dtype], noise.astype(np.uint8))
            except (ImportError, ValueError) as error:
                if says:
                    what = f"{name} of {dtype}" if name == "litert" else name
                    _log.info("%s is left out: %s", what, error)
            else:
                files["SavedModel" if file.is_dir() else file.name] = file
    return files


def _num_calls(settings, num_images):
    """Calls of a turn."""
    return max(math.ceil(_LEAST_CALLS / settings.turns), _IMAGES // num_images)


def _timed(settings, files, image_shape, num_threads):
    """For each number of images, a list of Latency; all of it in a process of its own."""
    request = {
        "files": {name: str(file) for name, file in files.items()},
        "image_shape": list(map(int, image_shape)),
        "num_images": settings.batch_size,
        "num_threads": num_threads,
        "turns": settings.turns,
        "num_calls": [_num_calls(settings, n) for n in settings.batch_size],
    }
    command = [sys.executable, "-m", timing.__name__, json.dumps(request)]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        reason = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise ValueError(f"{settings.model} could not be timed: {reason}")
    found = json.loads(child.stdout.splitlines()[-1])
    return [
        [_latency(name, num_threads, n, *of_file) for name, of_file in of_size.items()]
        for n, of_size in zip(settings.batch_size, found, strict=True)
    ]


def _latency(name, num_threads, num_images, seconds, processor_seconds):
    return Latency(
        name.removeprefix(_PLAIN),
        name.startswith(_PLAIN),
        num_threads,
        num_images,
        float(np.median(seconds)),
        float(np.percentile(seconds, 99)),
        num_images * len(seconds) / sum(seconds),
        processor_seconds / sum(seconds),
    )


def _table(latencies, num_calls):
    """Of one number of threads and images: a line per file, the plain network's beside it."""
    cells = [["", "median, ms", "99 %, ms", "images/s", "processors"]]
    plain = {each.file: each for each in latencies if each.is_plain}
    cells[0] += ["plain: median, ms", "99 %, ms"] if plain else []
    for each in latencies:
        if each.is_plain:
            continue
        row = [each.file, *_milliseconds(each)]
        row += [f"{each.images_per_second:,.0f}", f"{each.processors:.2f}"]
        beside = _milliseconds(plain[each.file]) if each.file in plain else ["", ""]
        cells.append(row + (beside if plain else []))
    first = latencies[0]
    threads = f"{first.num_threads} thread{'s' if first.num_threads > 1 else ''}"
    title = f"Batches of {first.num_images}, {threads}, {num_calls} calls a turn:"
    return "\n".join([title, *tables.aligned(cells)])


def _milliseconds(latency):
    return [f"{1000 * seconds:.2f}" for seconds in (latency.median, latency.percentile_99)]
