"""Serves an exported model over HTTP, in the form of TensorFlow Serving's REST API.

    python examples/serve.py served/digits/2 --name=digits
    python examples/serve.py served/digits/2/model.onnx --name=digits

Copied beside the exported files, this file is all that it takes: nothing of mixmo_tf, but
starlette, uvicorn and numpy, with TensorFlow for a SavedModel, or ONNX Runtime for an .onnx file,
and Pillow if that is to take files. A SavedModel is a program: serve those that you exported.

    GET  /v1/models/NAME            its version, whether it is ready
    GET  /v1/models/NAME/metadata   the names of its classes, what it takes and gives
    POST /v1/models/NAME:predict    {"instances": [image, …]}, pixels 0 to 255, height × width × 3
                                    {"signature_name": "serving_bytes",
                                     "instances": [{"image_bytes": {"b64": "…"}}, …]}
                                    or, with Content-Type: image/jpeg, the bytes of a file

Each is answered below /v1/models/NAME/versions/VERSION too, and {"inputs": …} in place of
{"instances": …} is answered by columns. These forms are TensorFlow Serving's, so the same client
asks either; the bytes of a file alone are what curl can say. Files are JPEG or PNG; a SavedModel
takes them if it was exported with --input=jpeg. What cannot be answered gets a status of 400 or
more, and {"error": a sentence}. It listens to this machine alone, unless --host says otherwise:
encryption, and who may ask, are the work of a proxy before it.
"""

import argparse
import asyncio
import base64
import concurrent.futures
import contextlib
import io
import json
import logging
import os
import pathlib
import re
import socket
import struct
import sys
import time
import urllib.parse
from collections.abc import Callable
from typing import NamedTuple

import h11
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_BYTES = 2**25  # of a request
MOST_IMAGES = 128  # of a request, as they are computed at once
MOST_PIXELS = 50_000_000  # of the files in a request together; with an opacity, 1 GB
MOST_REQUESTS = 100  # that are answered or wait at once; more are told to come later
MOST_CONNECTIONS = 500  # that are open; more are closed at once
PATIENCE = 30  # seconds that the body of a request may take to arrive
PATIENCE_WITH_HEADERS = 10  # seconds that its headers may take
PIXELS, FILES = "serving_default", "serving_bytes"  # the signatures of an exported model
PNG = b"\x89PNG\r\n\x1a\n"  # what the file begins with
# of model.json, for GET …/metadata
FACTS = (
    "classes image_shape inputs inputs_of_serving_bytes outputs decision written_by date".split()
)

log = logging.getLogger("serve")


class Refused(Exception):
    """A request that is not answered: the status, and a sentence for who asked."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class Unreadable(Exception):
    """A file is no JPEG or PNG, or damaged, or its image of a size that the model cannot take."""


class Signature(NamedTuple):
    """A function of a model."""

    takes: str  # the name of what it takes
    shape: tuple  # of one: (height, width, channels), or () of a file
    run: Callable  # uint8 (n, height, width, channels), or n bytes -> {name: array (n, …)}
    examples: list  # of instances, to warm up with: each in a request of its own
    pixels: Callable | None = None  # bytes of a file -> how many its header says


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a SavedModel's folder, or an .onnx file")
    parser.add_argument("--name", default="model", type=_name, help="what it is called in URLs")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: all networks")
    parser.add_argument("--port", default=8501, type=int, help="0: one that is free")
    parser.add_argument(
        "--most_pixels",
        default=MOST_PIXELS,
        type=int,
        help="of the files in a request together, by their headers (default: %(default)s)",
    )
    flags = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    path = pathlib.Path(flags.model)
    is_onnx = path.suffix == ".onnx" and path.is_file()
    if not is_onnx and not (path / "saved_model.pb").is_file():
        inside = [file.parent for file in sorted(path.glob("*/saved_model.pb"))]
        inside += [*sorted(path.glob("*.onnx")), *sorted(path.glob("*/*.onnx"))]
        there = f", but in it are {', '.join(map(str, inside))}" if inside else ""
        sys.exit(f"serve.py: {path} is no SavedModel's folder and no .onnx file{there}")
    with socket.socket(socket.AF_INET6 if ":" in flags.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((flags.host, flags.port))
        except (OSError, OverflowError) as error:
            sys.exit(f"serve.py: cannot listen on port {flags.port} of {flags.host}: {error}")
        try:
            signatures = of_onnx_file(path) if is_onnx else of_saved_model(path)
            served = app(
                signatures, flags.name, _version(path), _facts(path), most_pixels=flags.most_pixels
            )
        except Exception as error:  # each library raises its own
            reason = str(error).split("\n")[0]
            sys.exit(f"serve.py: {path} cannot be served: {type(error).__name__}: {reason}")
        listener.listen()
        host = f"[{flags.host}]" if ":" in flags.host else flags.host
        log.info("%s is running on http://%s:%d", path, host, listener.getsockname()[1])
        config = uvicorn.Config(served, http=Connection, log_config=None, access_log=False)
        with contextlib.suppress(KeyboardInterrupt):  # which says enough
            uvicorn.Server(config).run([listener])


def of_saved_model(path: pathlib.Path) -> dict[str, Signature]:
    """The signatures of a SavedModel, which has looked at requests' shapes by itself too."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # imported here: an ONNX file does without

    loaded = tf.saved_model.load(str(path))

    def pixels(file):
        try:
            if file.startswith(PNG):
                name, height, width = struct.unpack(">4sII", file[12:24])
                if name != b"IHDR":
                    raise Unreadable
            else:
                height, width, _ = tf.io.extract_jpeg_shape(file).numpy().tolist()
        except (struct.error, tf.errors.InvalidArgumentError):
            raise Unreadable from None
        return height * width

    def signature(name):
        ((takes, spec),) = loaded.signatures[name].structured_input_signature[1].items()

        def run(values):
            try:
                outputs = loaded.signatures[name](**{takes: tf.constant(values, spec.dtype)})
            except tf.errors.InvalidArgumentError:
                if name != FILES:
                    raise
                raise Unreadable from None
            return {output: value.numpy() for output, value in outputs.items()}

        sizes = pixels if name == FILES else None
        return Signature(takes, tuple(spec.shape[1:]), run, examples.get(name, []), sizes)

    ((_, spec),) = loaded.signatures[PIXELS].structured_input_signature[1].items()
    black = np.zeros(spec.shape[1:], np.uint8)
    examples = {PIXELS: [black.tolist()]}
    if FILES in loaded.signatures:
        examples[FILES] = [each(black).numpy() for each in (tf.io.encode_png, tf.io.encode_jpeg)]
    return {name: signature(name) for name in loaded.signatures}


def of_onnx_file(path: pathlib.Path) -> dict[str, Signature]:
    """The signatures of an ONNX file: of pixels, and with Pillow of the bytes of files."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    (images,), outputs = session.get_inputs(), [each.name for each in session.get_outputs()]

    def run(values):
        return dict(zip(outputs, session.run(outputs, {images.name: values}), strict=True))

    shape = tuple(images.shape[1:])
    black = np.zeros(shape, np.uint8)
    signatures = {PIXELS: Signature(images.name, shape, run, [black.tolist()])}
    fraction = _description(path).get("central_fraction")
    try:
        from PIL import Image  # imported here: pixels do without
    except ImportError:
        log.info("files are not taken without Pillow: pip install pillow")
        return signatures
    if fraction is None or shape[2] != 3:
        log.info("files are not taken: they need model.json beside the .onnx file, and RGB")
        return signatures
    Image.MAX_IMAGE_PIXELS = None  # --most_pixels is the limit

    def pixels(file):
        try:
            with Image.open(io.BytesIO(file), formats=("JPEG", "PNG")) as image:
                return image.width * image.height
        except Exception:  # whatever Pillow raises
            raise Unreadable from None

    def run_files(files):
        return run(np.stack([with_pillow(file, shape, fraction) for file in files]))

    examples = []
    for kind in ("PNG", "JPEG"):
        content = io.BytesIO()
        Image.fromarray(black).save(content, kind)
        examples.append(content.getvalue())
    signatures[FILES] = Signature("image_bytes", (), run_files, examples, pixels)
    return signatures


def with_pillow(file: bytes, shape: tuple, fraction: float) -> np.ndarray:
    """The pixels of a JPEG or PNG, uint8 (height, width, 3), as "resize" in model.json says.

    Turned as EXIF says, on white where transparent; of a square model, the middle `fraction` of the
    shorter side as a square, bilinear with antialiasing, rounded.

    Raises:
        Unreadable: if it cannot be decoded, or is not of the size of a model that is not square.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(file), formats=("JPEG", "PNG")) as image:
            _turn_upright(image)
            side = round(float(np.float32(fraction) * np.float32(min(image.size))))
            left, top = (image.width - side) // 2, (image.height - side) // 2
            if shape[0] == shape[1]:
                square = image.crop((left, top, left + side, top + side))
            elif image.size != (shape[1], shape[0]):
                raise Unreadable
            else:
                square = image.copy()
            image.close()  # which may hold 200 MB
        square = _on_white(square)
        bands = [_scaled(square.getchannel(i), shape[:2]) for i in range(3)]
    except Exception:  # whatever Pillow raises
        raise Unreadable from None
    return np.stack(bands, axis=-1)


class Connection(H11Protocol):
    """Closes a connection of which no whole headers come, and those that are too many."""

    due = None  # when the headers of the next request must be there

    def connection_made(self, transport):
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.close()
        self._await_headers()

    def data_received(self, data):
        super().data_received(data)
        self._await_headers()

    def connection_lost(self, error):
        super().connection_lost(error)
        self._has_headers()

    def _await_headers(self):
        if self.conn.their_state is not h11.IDLE:
            self._has_headers()
        elif self.due is None:
            self.due = self.loop.call_later(PATIENCE_WITH_HEADERS, self.transport.close)

    def _has_headers(self):
        if self.due is not None:
            self.due.cancel()
            self.due = None


class Logged:
    """A line in the log for each request: when, who, what, the status, and how long it took."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 500

        async def noted(message):
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            path = urllib.parse.quote(scope["path"], safe="/:")
            took = 1000 * (time.perf_counter() - start)
            who = (scope.get("client") or ["-"])[0]
            log.info("%s %s %s %d %.1f ms", who, scope["method"], path, status, took)


def app(
    signatures: dict[str, Signature],
    name: str,
    version: str = "1",
    facts: dict | None = None,
    most_pixels: int = MOST_PIXELS,
) -> Starlette:
    """What uvicorn runs. As many requests as there are processors are answered at once.

    Args:
        signatures: from `of_saved_model` or `of_onnx_file`. Each is asked once, in each way.
        name, version: of the URLs.
        facts: what GET …/metadata tells beside them.
        most_pixels: of the files in a request together.
    """
    _warm_up(signatures, most_pixels)
    threads = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    present = 0  # requests that are answered, or wait

    async def predict(request):
        nonlocal present
        if present >= MOST_REQUESTS:
            raise Refused(503, f"{MOST_REQUESTS} requests are being answered: come again later")
        present += 1
        try:
            body, kind = await _body(request), request.headers.get("content-type", "")
            given = answer, signatures, body, kind, most_pixels
            said = await asyncio.get_running_loop().run_in_executor(threads, *given)
        finally:
            present -= 1
        return JSONResponse(said, headers={"Model-Version": version})

    async def ready(request):
        return JSONResponse({"model_version_status": [{"version": version, "state": "AVAILABLE"}]})

    async def metadata(request):
        spec = {"name": name, "signature_name": "", "version": version}
        return JSONResponse({"model_spec": spec, "metadata": facts or {}})

    def refused(request, error):
        return _error(error.status, str(error))

    def nothing_there(request, error):
        return _error(error.status_code, f"{error.detail}: ask GET {path} or POST {path}:predict")

    def failed(request, error):
        return _error(500, "the server failed; its log says why")

    path = f"/v1/models/{name}"
    routes = []
    for each in (path, f"{path}/versions/{version}"):
        routes += [Route(f"{each}:predict", predict, methods=["POST"]), Route(each, ready)]
        routes.append(Route(f"{each}/metadata", metadata))
    return Starlette(
        routes=routes,
        middleware=[Middleware(Logged)],
        exception_handlers={Refused: refused, HTTPException: nothing_there, 500: failed},
    )


def answer(
    signatures: dict[str, Signature], body: bytes, kind: str, most_pixels: int = MOST_PIXELS
) -> dict:
    """What a request of this Content-Type gets: {"predictions": [{output: numbers}, …]}.

    Raises:
        Refused: if it cannot be answered.
    """
    by_columns = False
    if kind.startswith("image/"):
        outputs = _of_files([body], _signature(signatures, FILES), most_pixels)
    else:
        said = _json(body, kind)
        by_columns = "instances" not in said and "inputs" in said
        signature = _signature(signatures, said.get("signature_name", PIXELS))
        values = _columns(said, signature) if by_columns else _instances(said, signature.takes)
        if signature.shape:
            outputs = signature.run(_pixels(values, signature, body))
        else:
            outputs = _of_files([*map(_file, values)], signature, most_pixels)
    outputs = {name: value.tolist() for name, value in outputs.items()}
    if by_columns:
        return {"outputs": outputs}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def _warm_up(signatures, most_pixels):
    """Asks in each way: what is asked first takes seconds."""
    for name, signature in signatures.items():
        for example in signature.examples:
            if isinstance(example, bytes):
                example = {"b64": base64.b64encode(example).decode()}
            request = {"signature_name": name, "instances": [example]}
            answer(signatures, json.dumps(request).encode(), "", most_pixels)


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
    except ClientDisconnect:
        raise Refused(400, "the request ended too early") from None
    except asyncio.TimeoutError:
        raise Refused(408, f"a request must arrive within {PATIENCE} seconds") from None


def _error(status, sentence):
    return JSONResponse({"error": sentence}, status)


def _json(body, kind):
    """The object in a request; JSON has no NaN, though Python's would take it."""

    def refuse(constant):
        raise ValueError(constant)

    try:
        said = json.loads(body.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        form = "" if kind.startswith(("multipart/", "application/octet-stream")) else (
            'send JSON, {"instances": [image, …]}; or '
        )  # fmt: skip
        raise Refused(
            400, f"{form}send a file as the body, with Content-Type: image/jpeg or image/png"
        )
    return said


def _signature(signatures, name):
    if not isinstance(name, str) or name not in signatures:
        there = ", ".join(sorted(signatures))
        needed = "; files need a SavedModel of --input=jpeg, or Pillow and model.json beside .onnx"
        needed = needed if name == FILES else ""
        raise Refused(400, f"signature_name must be of this model, which has {there}{needed}")
    return signatures[name]


def _instances(said, takes):
    """The values of a request, one for each image, with or without the name of what it is."""
    values = _some("instances", said.get("instances"))
    named = [isinstance(each, dict) and list(each) == [takes] for each in values]
    return [each[takes] if has else each for each, has in zip(values, named, strict=True)]


def _columns(said, signature):
    values, takes = said["inputs"], signature.takes
    return _some(
        "inputs", values[takes] if isinstance(values, dict) and takes in values else values
    )


def _some(name, values):
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_IMAGES:
        raise Refused(400, f"{name} must be a list of 1 to {MOST_IMAGES} images")
    return values


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


def _of_files(files, signature, most_pixels):
    """What a signature gives for files, once their headers say that memory holds the pixels."""
    pixels = sum(_of_each(signature.pixels, files, signature.takes))
    if pixels > most_pixels:
        raise Refused(
            413,
            f"the images of a request must have at most {most_pixels:,} pixels together, got "
            f"{pixels:,}",
        )
    try:
        return signature.run(files)
    except Unreadable:  # of which file is not known
        _of_each(lambda file: signature.run([file]), files, signature.takes)
        raise


def _of_each(function, files, takes):
    found = []
    for number, file in enumerate(files):
        try:
            found.append(function(file))
        except Unreadable:
            raise Refused(
                400,
                f"{takes} must be JPEG or PNG files: number {number} (from 0) is damaged, of "
                "another kind, or of a size that is not taken",
            ) from None
    return found


def _turn_upright(image):
    """Turns an image of Pillow as EXIF says that it is shown, but where EXIF is damaged."""
    from PIL import ImageOps

    image.load()
    with contextlib.suppress(Exception):  # whatever Pillow raises
        ImageOps.exif_transpose(image, in_place=True)


def _scaled(band, size):
    """A channel of Pillow as uint8 (height, width); in floats, rounded once."""
    from PIL import Image

    band = np.asarray(band.convert("F").resize(size[::-1], Image.Resampling.BILINEAR))
    return np.rint(band).clip(0, 255).astype(np.uint8)


def _on_white(image):
    """An image of Pillow as one of RGB."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut above 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    *colours, opacity = image.convert("RGBA").split()
    opacity = np.asarray(opacity).astype(np.uint16)
    white = 255 * (255 - opacity) + 127  # so that // rounds
    mixed = [((np.asarray(each) * opacity + white) // 255).astype(np.uint8) for each in colours]
    return Image.merge("RGB", [*map(Image.fromarray, mixed)])


def _description(path):
    """What model.json says, in the model's folder or beside its file; {} if it is not there."""
    file = (path.parent if path.is_file() else path) / "model.json"
    said = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return said if isinstance(said, dict) else {}


def _facts(path):
    said = _description(path)
    return {name: said[name] for name in FACTS if name in said}


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
