"""Times exported files, in a process of its own, as TensorFlow's threads are set at its start.

    python -m mixmo_tf.experiments.benchmarks.timing '{"files": {"ONNX": "model.onnx"}, …}'

Each file is read by its own library alone, as where it is served: nothing of this package is
between them.
"""

import json
import pathlib
import sys
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mixmo_tf.experiments.benchmarks.turns import take_turns


def time_files(
    files: dict[str, str],
    image_shape: Sequence[int],
    num_images: Sequence[int],
    num_threads: int,
    turns: int,
    num_calls: Sequence[int],
) -> list[dict]:
    """Seconds of each call of each file, which take turns.

    Args:
        files: paths by name, of SavedModels' folders, .onnx and .tflite files.
        image_shape: (height, width, channels).
        num_images: images of a call.
        num_threads: with which each file computes.
        turns: of each file, after one to warm up.
        num_calls: of a turn, for each of `num_images`.

    Returns:
        list of dict for each of `num_images`, by the names of the files: (seconds of each call,
        processor seconds of all calls).
    """
    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    answers = {name: opened(file, num_threads) for name, file in files.items()}
    found = []
    for size, calls in zip(num_images, num_calls, strict=True):
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (size, *image_shape), dtype=np.uint8)
        seconds = {name: [] for name in files}
        loops = {n: _loop(answers[n], images, calls, seconds[n]) for n in files}
        _, processor = take_turns(loops, turns)
        found.append({name: (seconds[name][calls:], sum(processor[name])) for name in files})
    return found


def opened(file: str, num_threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function of uint8 images (n, H, W, channels) that gives a file's probabilities (n, C).

    Of a SavedModel, TensorFlow's own count of threads holds.
    """
    if file.endswith(".onnx"):
        return _onnx(file, num_threads)
    if file.endswith(".tflite"):
        return _litert(file, num_threads)
    signature = tf.saved_model.load(file).signatures["serving_default"]
    return lambda images: signature(images=tf.constant(images))["probabilities"].numpy()


def _onnx(file, num_threads):
    import onnxruntime  # imported here: an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probabilities"], {"images": images})[0]


def _litert(file, num_threads):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will move to ai_edge_litert
        content = pathlib.Path(file).read_bytes()
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=num_threads)
    runner = interpreter.get_signature_runner("serving_default")
    return lambda images: runner(images=images)["probabilities"]


def _loop(answer, images, num_calls, seconds):
    """A function of nothing that calls, and adds to the list `seconds` what each call took."""

    def run():
        for _ in range(num_calls):
            start = time.perf_counter()
            answer(images)
            seconds.append(time.perf_counter() - start)

    return run


if __name__ == "__main__":
    sys.stdout.write(json.dumps(time_files(**json.loads(sys.argv[1]))))
