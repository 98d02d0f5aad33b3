"""What a server may be asked, right and wrong, and a process of its own that is asked it.

They need NumPy alone; that process has nothing of this package.
"""

import json
import subprocess
import sys

import numpy as np
from scripts_at_work import ROOT

SHAPE = (16, 12, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.uint8)
_REAL = IMAGES.astype(np.float32)
_BLACK = np.zeros((2, *SHAPE))


def _with(value, dtype=np.float32):
    """The images as `dtype`, with one number of the second replaced."""
    images = IMAGES.astype(dtype)
    images[1, 2, 3, 1] = value
    return images


RIGHT = {  # uint8 images, which every file answers
    "one image": IMAGES[:1],
    "five images": IMAGES,
    "three hundred images": np.tile(IMAGES, (60, 1, 1, 1)),
    "a view that is not contiguous": IMAGES[::-1, :, ::-1],
    "another order in memory": np.asfortranarray(IMAGES),
    "read only": np.frombuffer(IMAGES.tobytes(), np.uint8).reshape(IMAGES.shape),
    "black": _BLACK.astype(np.uint8),
}
SAME = {  # the same in another form, and none: answered right, or refused
    "none": IMAGES[:0],
    "float32": _REAL,
    "float64": IMAGES.astype(np.float64),
    "float16": IMAGES.astype(np.float16),
    "rounded to them": _REAL + np.where(_REAL < 255, 0.4, 0),
    "int32": IMAGES.astype(np.int32),
    "int64": IMAGES.astype(np.int64),
    "uint16": IMAGES.astype(np.uint16),
    "no floats": _REAL[:0],
    "other order of bytes": IMAGES.astype(">i4"),
    "black floats": _BLACK.astype(np.float32),
}
SHAPES = {  # refused, with the shape that is right
    "a single image": (16, 12, 3),
    "rank 0": (),
    "rank 1": (576,),
    "rank 2": (16, 12),
    "rank 5": (1, 1, 16, 12, 3),
    "rank 6": (1, 1, 1, 16, 12, 3),
    "lower by one": (2, 15, 12, 3),
    "wider by one": (2, 16, 13, 3),
    "width before height": (2, 12, 16, 3),
    "twice as large": (2, 32, 24, 3),
    "half as large": (2, 8, 6, 3),
    "of a camera": (1, 102, 283, 3),
    "as many pixels": (1, 8, 24, 3),
    "a pixel": (1, 1, 1, 3),
    "a row": (1, 1, 12, 3),
    "a column": (1, 16, 1, 3),
    "no height": (1, 0, 12, 3),
    "no channels": (1, 16, 12, 0),
    "none of another size": (0, 8, 6, 3),
    "grey": (2, 16, 12, 1),
    "grey without an axis": (2, 16, 12),
    "with opacity": (2, 16, 12, 4),
    "channels first": (2, 3, 16, 12),
    "flat": (2, 576),
    "channels of all in a row": (1, 16, 36, 1),
}
VALUES = {  # refused
    "NaN": _with(np.nan),
    "infinite": _with(-np.inf),
    "beyond float32": _with(1e39, np.float64),
    "large": _with(1e30),
    "divided by 255": _REAL / 255,
    "from -1 to 1": _REAL / 127.5 - 1,
    "standardised": (_REAL - 127) / 74,
    "of 16 bits": IMAGES.astype(np.uint16) * 257,
    "beyond 255": _with(256, np.int32),
    "negative": _with(-1, np.int64),
    "int8": IMAGES.astype(np.int8),
    "bool": IMAGES > 100,
    "complex": IMAGES.astype(np.complex64),
    "text": IMAGES.astype(str),
    "bytes of a file": np.array([b"\xff\xd8\xff\xe0"]),
    "objects": np.full((1, *SHAPE), None),
    "dates": IMAGES.astype("datetime64[s]"),
    "records": np.zeros((1, *SHAPE), [("red", np.uint8)]),
}
NO_ARRAYS = {  # refused by what is called
    "nothing": None,
    "empty bytes": b"",
    "a name": "image.jpg",
    "an empty list": [],
    "a ragged list": [[1, 2], [3]],
    "a dict": {"images": IMAGES},
    "a number": 3,
    "an object": object(),
}
_ASK_ALL = """
import json, sys
sys.path.insert(0, "tests")
import hostile_requests, onnxruntime
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
onnxruntime.set_default_logger_severity(4)

def signature(file):
    signature = tf.saved_model.load(file).signatures["serving_default"]
    return lambda images: signature(images=tf.constant(images))["probabilities"].numpy()

def session(file):
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], file)
    served = loaded.signature_def["serving_default"]
    names = served.inputs["images"].name, served.outputs["probabilities"].name
    options = config_pb2.CallableOptions(feed=names[:1], fetch=names[1:])
    run = session._make_callable_from_options(options)  # which leaves all checks to the graph
    return lambda images: run(images)[0]

def onnx_runtime(file):
    session = onnxruntime.InferenceSession(file)
    return lambda images: session.run(["probabilities"], {"images": images})[0]

def litert(file, resolver=tf.lite.experimental.OpResolverType.AUTO):
    interpreter = tf.lite.Interpreter(file, experimental_op_resolver_type=resolver)
    runner = interpreter.get_signature_runner()
    return lambda images: runner(images=images)["probabilities"]

def litert_without_xnnpack(file):
    without = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return litert(file, without)

answers = []
for reader, file in json.loads(sys.argv[1]):
    ask, said = globals()[reader](file), {}
    for name, request in hostile_requests.arrays().items():
        print(reader, file, name, file=sys.stderr, flush=True)
        try:
            said[name] = ask(request).tolist()
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
    answers.append([said, ask(hostile_requests.IMAGES).tolist()])
print(json.dumps(answers))
"""


def arrays():
    """All requests that are arrays, by name; those of a wrong shape are white."""
    white = {name: np.full(shape, 255, np.uint8) for name, shape in SHAPES.items()}
    return {**RIGHT, **white, **SAME, **VALUES}


def as_pixels(name):
    """The uint8 images that a request of `RIGHT` or `SAME` stands for."""
    return np.round({**RIGHT, **SAME}[name]).astype(np.uint8)


def answers_of(files):
    """What files answer in a process of its own, which must live through all of it.

    Args:
        files: list of (a reader in `_ASK_ALL`, the path of a file or a SavedModel's folder).

    Returns:
        list of pairs: a dict by request of what was answered, a nested list, or said, a str; and
        the answer to `IMAGES` at the end, a nested list.
    """
    files = json.dumps([(reader, str(file)) for reader, file in files])
    child = subprocess.run(
        [sys.executable, "-c", _ASK_ALL, files], cwd=ROOT, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return json.loads(child.stdout.splitlines()[-1])
