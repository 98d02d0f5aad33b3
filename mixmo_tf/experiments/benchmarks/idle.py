"""How long a GPU waits between what it computes, as TensorFlow's profiler sees it."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

_GPU = "/device:GPU:0"  # as a trace calls the first one
_STREAM = "Stream"  # with which its streams' names begin


def start() -> tempfile.TemporaryDirectory:
    """Traces devices from now on; what it gives is for `stop`."""
    options = tf.profiler.experimental.ProfilerOptions(
        host_tracer_level=1, python_tracer_level=0, device_tracer_level=1
    )
    folder = tempfile.TemporaryDirectory()
    tf.profiler.experimental.start(folder.name, options)
    return folder


def stop(folder: tempfile.TemporaryDirectory) -> xplane_pb2.XSpace:
    """What was recorded since `start`, which gave the folder; nothing if no file was written."""
    space = xplane_pb2.XSpace()
    tf.profiler.experimental.stop()
    with folder:
        for file in pathlib.Path(folder.name).rglob("*.xplane.pb"):  # one of each machine
            space.MergeFromString(file.read_bytes())
    return space


def idle_share(space: xplane_pb2.XSpace) -> float | None:
    """Of the time from the first GPU's first event to its last, the share in which none ran.

    None where the trace is of no GPU.
    """
    spans = [
        (line.timestamp_ns * 1000 + event.offset_ps, event.duration_ps)
        for plane in space.planes
        if plane.name == _GPU
        for line in plane.lines
        if line.name.startswith(_STREAM)
        for event in line.events
    ]
    if not spans:
        return None
    first = min(spans)[0]  # an int: picoseconds since 1970 are too many for int64
    spans = np.array(sorted((begin - first, duration) for begin, duration in spans), np.int64)
    begins, durations = spans.T
    ends = np.maximum.accumulate(begins + durations)
    waited = np.maximum(begins[1:] - ends[:-1], 0).sum()
    return float(waited / max(ends[-1], 1))
