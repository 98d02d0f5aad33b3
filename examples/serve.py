"""Serves an exported model over HTTP, in the form of TensorFlow Serving's REST API.

    python examples/serve.py served/digits/2 --name=digits
    python examples/serve.py served/digits/2/model.onnx --name=digits

Copied beside the exported file, this file is all that it takes: nothing of mixmo_tf, but starlette,
uvicorn and numpy, with TensorFlow for a SavedModel, or ONNX Runtime for an .onnx file. A SavedModel
is a program: serve those that you exported.

    GET  /v1/models/NAME            its version, whether it is ready
    POST /v1/models/NAME:predict    {"instances": [image, …]}, pixels 0 to 255, height × width × 3
                                    {"signature_name": "serving_bytes",
                                     "instances": [{"image_bytes": {"b64": "…"}}, …]}
                                    or, with Content-Type: image/jpeg, the bytes of a file

The two forms of JSON are TensorFlow Serving's, so the same client asks either; the last is one that
curl can say. The bytes of files, JPEG or PNG, are for SavedModels that were exported with
--input=jpeg. What cannot be answered gets a status of 400 or more, and {"error": a sentence}.
It listens to this machine alone, unless --host says otherwise: encryption, and who may ask, are
the work of a proxy before it.
"""

import argparse
import asyncio
import base64
import concurrent.futures
import json
import os
import pathlib
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

MOST_BYTES = 2**25  # of a request
MOST_IMAGES = 128  # of a request, as they are computed at once
MOST_CONNECTIONS = 100  # more are told to come later
PATIENCE = 30  # seconds that a request may take to arrive
PIXELS, FILES = "serving_default", "serving_bytes"  # the signatures of an exported model


class Refused(Exception):
    """A request that is not answered: the status, and a sentence for who asked."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class Signature(NamedTuple):
    """A function of a model."""

    takes: str  # the name of what it takes
    shape: tuple  # of one: (height, width, channels), or () of a file
    run: Callable  # uint8 (n, height, width, channels), or n bytes -> {name: array (n, …)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a SavedModel's folder, or an .onnx file")
    parser.add_argument("--name", default="model", type=_name, help="what it is called in URLs")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: all networks")
    parser.add_argument("--port", default=8501, type=int, help="0: one that is free")
    flags = parser.parse_args()
    path = pathlib.Path(flags.model)
    is_onnx = path.suffix == ".onnx" and path.is_file()
    if not is_onnx and not (path / "saved_model.pb").is_file():
        inside = ", ".join(str(file.parent) for file in sorted(path.glob("*/saved_model.pb")))
        there = f", but in it are {inside}" if inside else ""
        sys.exit(f"serve.py: {path} is no SavedModel's folder and no .onnx file{there}")
    try:
        served = app(
            of_onnx_file(path) if is_onnx else of_saved_model(path), flags.name, _version(path)
        )
    except Exception as error:  # each library raises its own
        reason = str(error).split("\n")[0]
        sys.exit(f"serve.py: {path} cannot be served: {type(error).__name__}: {reason}")
    uvicorn.run(served, host=flags.host, port=flags.port, limit_concurrency=MOST_CONNECTIONS)


def of_saved_model(path: pathlib.Path) -> dict[str, Signature]:
    """The signatures of a SavedModel, which has looked at requests' shapes by itself too."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # imported here: an ONNX file does without

    loaded = tf.saved_model.load(str(path))

    def signature(name):
        ((takes, spec),) = loaded.signatures[name].structured_input_signature[1].items()

        def run(values):
            try:
                outputs = loaded.signatures[name](**{takes: tf.constant(values, spec.dtype)})
            except tf.errors.InvalidArgumentError:
                if name != FILES:
                    raise
                raise Refused(
                    400,
                    f"{takes} must be JPEG or PNG files: one is damaged, of another kind, or of a "
                    "size that is not taken",
                ) from None
            return {output: value.numpy() for output, value in outputs.items()}

        return Signature(takes, tuple(spec.shape[1:]), run)

    return {name: signature(name) for name in loaded.signatures}


def of_onnx_file(path: pathlib.Path) -> dict[str, Signature]:
    """The one signature of an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    (images,), outputs = session.get_inputs(), [each.name for each in session.get_outputs()]

    def run(values):
        return dict(zip(outputs, session.run(outputs, {images.name: values}), strict=True))

    return {PIXELS: Signature(images.name, tuple(images.shape[1:]), run)}


def app(signatures: dict[str, Signature], name: str, version: str = "1") -> Starlette:
    """What uvicorn runs. As many requests as there are processors are answered at once."""
    takes_pixels = signatures[PIXELS]
    takes_pixels.run(np.zeros((1, *takes_pixels.shape), np.uint8))  # the first takes longest
    threads = concurrent.futures.ThreadPoolExecutor(os.cpu_count())

    async def predict(request):
        body = await _body(request)
        kind = request.headers.get("content-type", "")
        loop = asyncio.get_running_loop()
        return JSONResponse(await loop.run_in_executor(threads, answer, signatures, body, kind))

    async def ready(request):
        return JSONResponse({"model_version_status": [{"version": version, "state": "AVAILABLE"}]})

    def refused(request, error):
        return _error(error.status, str(error))

    def nothing_there(request, error):
        return _error(error.status_code, f"{error.detail}: ask GET {path} or POST {path}:predict")

    def failed(request, error):
        return _error(500, "the server failed; its log says why")

    path = f"/v1/models/{name}"
    return Starlette(
        routes=[Route(f"{path}:predict", predict, methods=["POST"]), Route(path, ready)],
        exception_handlers={Refused: refused, HTTPException: nothing_there, 500: failed},
    )


def answer(signatures: dict[str, Signature], body: bytes, kind: str) -> dict:
    """What a request of this Content-Type gets: {"predictions": [{output: numbers}, …]}.

    Raises:
        Refused: if it cannot be answered.
    """
    if kind.startswith("image/"):
        signature, values = _signature(signatures, FILES), [body]
    else:
        said = _json(body)
        signature = _signature(signatures, said.get("signature_name", PIXELS))
        values = _instances(said, signature.takes)
        values = _pixels(values, signature, body) if signature.shape else [*map(_file, values)]
    outputs = {name: value.tolist() for name, value in signature.run(values).items()}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


async def _body(request: Request) -> bytes:
    too_large = Refused(413, f"a request must have at most {MOST_BYTES:,} bytes")
    if int(request.headers.get("content-length", 0)) > MOST_BYTES:
        raise too_large

    async def arrived():
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise too_large
        return bytes(body)

    try:
        return await asyncio.wait_for(arrived(), PATIENCE)
    except asyncio.TimeoutError:
        raise Refused(408, f"a request must arrive within {PATIENCE} seconds") from None


def _error(status, sentence):
    return JSONResponse({"error": sentence}, status)


def _json(body):
    """The object in a request; JSON has no NaN, though Python's would take it."""

    def refuse(constant):
        raise ValueError(constant)

    try:
        said = json.loads(body.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Refused(400, 'the request must be JSON, {"instances": [image, …]}, or of a file')
    return said


def _signature(signatures, name):
    if not isinstance(name, str) or name not in signatures:
        there = ", ".join(sorted(signatures))
        needed = "; files need a SavedModel of --input=jpeg" if name == FILES else ""
        raise Refused(400, f"signature_name must be of this model, which has {there}{needed}")
    return signatures[name]


def _instances(said, takes):
    """The values of a request, one for each image, with or without the name of what it is."""
    values = said.get("instances")
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_IMAGES:
        raise Refused(400, f"instances must be a list of 1 to {MOST_IMAGES} images")
    named = [isinstance(each, dict) and list(each) == [takes] for each in values]
    return [each[takes] if has else each for each, has in zip(values, named, strict=True)]


def _pixels(values, signature, body):
    """uint8 (n, height, width, channels)."""
    try:
        has_bools = re.search(rb"true|false", body)  # which NumPy would take for 1 and 0
        pixels = np.array(None if has_bools else values)
    except (ValueError, OverflowError, RecursionError):  # lists that are no array
        pixels = np.array(None)
    sizes = ", ".join(map(str, signature.shape))
    must = f"{signature.takes} must be whole numbers from 0 to 255, (n, {sizes})"
    if pixels.dtype.kind not in "iu":
        files = f"; files are for the signature_name {FILES}"
        raise Refused(400, must + (files if isinstance(values[0], dict) else ""))
    if pixels.shape[1:] != signature.shape:
        raise Refused(400, f"{must}, got {pixels.shape}")
    if pixels.min() < 0 or pixels.max() > 255:
        raise Refused(400, f"{must}, got {pixels.min()} to {pixels.max()}")
    return pixels.astype(np.uint8)


def _file(value):
    """The bytes in {"b64": text}."""
    text = value.get("b64") if isinstance(value, dict) else None
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise Refused(400, 'a file must be {"b64": its bytes in base64}') from None


def _version(path):
    """The number of the folder NAME/VERSION, or "1"."""
    folder = path.resolve().parent if path.is_file() else path.resolve()
    return folder.name if folder.name.isdecimal() else "1"


def _name(text):
    if not re.fullmatch(r"[\w-]+", text, re.ASCII):
        raise argparse.ArgumentTypeError("a name has letters, digits, - and _ alone")
    return text


if __name__ == "__main__":
    main()
