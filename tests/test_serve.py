"""examples/serve.py, asked over HTTP: what it answers, what it refuses, and that it lives on."""

import base64
import concurrent.futures
import contextlib
import http.client
import importlib.util
import json
import pathlib
import re
import socket
import subprocess
import sys
import time

import forking
import hostile_requests
import numpy as np
import pytest
from hostile_bytes import HOSTILE
from picture_files import DOTS, UPRIGHT, encoded, palette, stored
from scripts_at_work import ROOT
from small_models import as_if_trained, tiny_model

import mixmo_tf
from mixmo_tf import data, deployment

pytest.importorskip("uvicorn", reason='needs uvicorn: pip install -e ".[serve]"')
SERVE = ROOT / "examples/serve.py"
PATH = "/v1/models/tiny:predict"
SHAPE = (16, 16, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, *SHAPE)).astype(np.uint8)
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def serve():
    spec = importlib.util.spec_from_file_location("serve", SERVE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def server(model, folder):
    """A server of its own process, on a port that is free, which must live to the end.

    That of a SavedModel, which needs TensorFlow, is forked from one that has imported it.
    """
    said = folder / f"{model.name}.log"
    command = [sys.executable, SERVE, model, "--name=tiny", "--port=0"]
    popen = forking.Popen if model.is_dir() else subprocess.Popen
    with open(said, "w") as log:
        process = popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + 180
        while not (ready := re.search(r"running on http://127.0.0.1:(\d+)", said.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, said.read_text()
            time.sleep(0.1)
        yield int(ready[1]), process.pid
        assert process.poll() is None, said.read_text()[-2000:]
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("served")
    folded = deployment.fold(as_if_trained(tiny_model()))
    deployment.export(folded, path / "7", ["saved_model", "onnx"], input="jpeg")
    return path


@pytest.fixture(scope="module")
def servers(folder):
    """The ports of a server of the SavedModel and of one of the ONNX file, with their processes."""
    with (
        server(folder / "7", folder) as saved_model,
        server(folder / "7/model.onnx", folder) as onnx,
    ):
        yield {"SavedModel": saved_model, "ONNX": onnx}


@pytest.fixture(scope="module")
def ask(servers):
    def ask_one(kind, body, path=PATH, method="POST", **headers):
        """The status, and the object that JSON gives."""
        if not isinstance(body, (bytes, type(None))):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", servers[kind][0], timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    return ask_one


def jpeg(ask_one, content, kind="SavedModel"):
    return ask_one(kind, content, **{"Content-Type": "image/jpeg"})


def in_base64(*contents):
    texts = [base64.b64encode(content).decode() for content in contents]
    instances = [{"image_bytes": {"b64": text}} for text in texts]
    return {"signature_name": "serving_bytes", "instances": instances}


def probabilities(answer):
    status, said = answer
    assert status == 200, said
    return np.array([each["probabilities"] for each in said["predictions"]])


@pytest.fixture(scope="module")
def expected(folder):
    """What `load` answers to IMAGES, and no two are alike."""
    answers = mixmo_tf.load(folder / "7").predict(IMAGES, verbose=0)
    assert np.abs(answers[:, None] - answers).max(axis=-1)[~np.eye(12, dtype=bool)].min() > 1e-3
    return answers


@pytest.mark.parametrize("kind", ["SavedModel", "ONNX"])
def test_pixels_are_answered_as_load_answers_them(kind, ask, expected):
    plain = {"instances": IMAGES.tolist()}
    named = {
        "instances": [{"images": image.tolist()} for image in IMAGES],
        "signature_name": "serving_default",
    }
    for request in (plain, named):
        np.testing.assert_allclose(probabilities(ask(kind, request)), expected, **CLOSE)
    _, said = ask(kind, {"instances": IMAGES[:1].tolist()})
    outputs = {"probabilities", "member_probabilities", "member_logits"}
    assert set(said["predictions"][0]) == outputs
    status, said = ask(kind, None, path=PATH.removesuffix(":predict"), method="GET")
    (found,) = said["model_version_status"]
    assert status == 200 and found == {"version": "7", "state": "AVAILABLE"}


def test_files_are_answered_as_load_answers_them(ask, folder, tmp_path):
    large = np.kron(IMAGES[0], np.ones((30, 40, 1))).astype(np.uint8)  # 480×640
    contents = [encoded(large, "JPEG"), encoded(stored(6), "JPEG", 6), encoded(UPRIGHT, "PNG")]
    files = [tmp_path / str(i) for i in range(3)]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    pixels = data.read_images(files, SHAPE)
    right = mixmo_tf.load(folder / "7").predict(pixels, verbose=0)
    answers = probabilities(ask("SavedModel", in_base64(*contents)))
    np.testing.assert_allclose(answers, right, **CLOSE)
    for content, one in zip(contents, right, strict=True):
        np.testing.assert_allclose(probabilities(jpeg(ask, content)), [one], **CLOSE)


def test_eight_clients_with_two_hundred_requests(ask, expected):
    """Arrays and files at once, of one image to three: each gets its own answer."""
    pngs = [encoded(image, "PNG") for image in IMAGES]

    def work(number):
        some = [(number + i) % 12 for i in range(1 + number % 3)]
        if number % 4 == 0:
            answer = ask("SavedModel", in_base64(*(pngs[i] for i in some)))
        elif number % 4 == 1:
            some = some[:1]
            answer = jpeg(ask, pngs[some[0]])
        else:
            kind = ("SavedModel", "ONNX")[number % 4 - 2]
            answer = ask(kind, {"instances": IMAGES[some].tolist()})
        return some, probabilities(answer)

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(work, range(200)))
    assert len(answers) == 200
    for some, answer in answers:
        np.testing.assert_allclose(answer, expected[some], **CLOSE)


def with_value(text):
    """A request of a right shape, with one pixel that is `text`."""
    return json.dumps({"instances": IMAGES[:2].tolist()}).replace("[[[[", f"[[[[{text}, ", 1)


def pixel_requests():
    """JSON that is refused, by name."""
    right = IMAGES[:2].tolist()
    wrong = {
        f"pixels of {text}": with_value(text).replace(f"{text}, {IMAGES[0, 0, 0, 0]}", text, 1)
        for text in "NaN Infinity -Infinity 1e999 1e30 0.5 256 -1 null true".split()
    }
    wrong |= {f"pixels of {text}": with_value(text) for text in ('"7"', "[1]", "{}", "9" * 5000)}
    shapes = {name: np.full(shape, 255) for name, shape in hostile_requests.SHAPES.items()}
    wrong |= {name: {"instances": images.tolist()} for name, images in shapes.items()}
    wrong |= {
        "bool": {"instances": (IMAGES > 100).tolist()},
        "empty": b"",
        "half": json.dumps({"instances": right}).encode()[:-9],
        "deep": b"[" * 10**6,
        "deep images": b'{"instances": [' + b"[" * 500 + b"]" * 501 + b"}",
        "noise": np.random.default_rng(0).bytes(10**6),
        "no UTF-8": b'{"instances": "\xff\xfe"}',
        "UTF-16": json.dumps({"instances": right}).encode("utf-16"),
        "null": b"null",
        "a list": right,
        "no instances": {},
        "instances of text": {"instances": "images"},
        "too many": {"instances": [[0]] * 129},
        "columns of another name": {"inputs": {"pixels": right}},
        "another name": {"instances": [{"pixels": image} for image in right]},
        "another signature": {"signature_name": "train", "instances": right},
        "no signature": {"signature_name": None, "instances": right},
        "a list of signatures": {"signature_name": ["serving_default"], "instances": right},
        "pixels as files": {"signature_name": "serving_bytes", "instances": right},
        "no base64": {"signature_name": "serving_bytes", "instances": [{"b64": "****"}]},
        "base64 of a number": {"signature_name": "serving_bytes", "instances": [{"b64": 7}]},
    }
    return {name: r.encode() if isinstance(r, str) else r for name, r in wrong.items()}


def assert_refused(name, answer, *statuses):
    status, said = answer
    assert status in (statuses or [400]), (name, status, said)
    assert list(said) == ["error"] and "\n" not in said["error"], (name, said)
    assert 10 < len(said["error"]) < 200, (name, said)


@pytest.mark.parametrize("kind", ["SavedModel", "ONNX"])
def test_hostile_json_is_refused_in_a_sentence(kind, ask, expected):
    requests = pixel_requests()
    assert len(requests) > 50
    for name, request in requests.items():
        start = time.monotonic()
        assert_refused(name, ask(kind, request))
        assert time.monotonic() - start < 30, name
    assert_refused("path", ask(kind, {}, path="/v1/models/other:predict"), 404)
    assert_refused("path", ask(kind, {}, path="/../../etc/passwd"), 404)
    assert_refused("method", ask(kind, None, method="GET"), 405)
    for of_file in ("multipart/form-data; boundary=a", "application/octet-stream"):
        refused = ask(kind, encoded(UPRIGHT, "PNG"), **{"Content-Type": of_file})
        assert refused[1]["error"].startswith("send a file as the body, with Content-Type: image/")
    assert_refused("size", ask(kind, b"{", **{"Content-Length": str(10**12)}), 413)
    answers = probabilities(ask(kind, {"instances": IMAGES.tolist()}))
    np.testing.assert_allclose(answers, expected, **CLOSE)


def test_hostile_files_are_refused_in_a_sentence(ask):
    good = encoded(UPRIGHT, "JPEG")
    right = probabilities(jpeg(ask, good))
    for name, (content, message) in HOSTILE.items():
        status = 413 if "below" in message else 400  # the size that a header says
        for kind in ("SavedModel", "ONNX"):
            assert_refused(name, jpeg(ask, content, kind), status)
            answer = ask(kind, in_base64(good, content))
            assert_refused(name, answer, status)
            assert status == 413 or "number 1 (from 0) is damaged" in answer[1]["error"]
        np.testing.assert_allclose(probabilities(jpeg(ask, good)), right, **CLOSE)
    unnamed = ask("SavedModel", {"instances": in_base64(good)["instances"]})
    assert_refused("no signature", unnamed)
    assert "files are for the signature_name serving_bytes" in unnamed[1]["error"]


def test_an_onnx_file_is_served_without_tensorflow(ask, servers):
    assert jpeg(ask, encoded(UPRIGHT, "JPEG"), "ONNX")[0] == 200
    libraries = {
        k: pathlib.Path(f"/proc/{pid}/maps").read_text() for k, (_, pid) in servers.items()
    }
    assert "libtensorflow" in libraries["SavedModel"] and "onnxruntime" in libraries["ONNX"]
    assert "tensorflow" not in libraries["ONNX"]


def test_pillow_gives_the_pixels_of_tensorflow(serve, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 60, 3)).astype(np.uint8)
    large = np.kron(noise[:9, :6], np.ones((50, 40, 1))).astype(np.uint8)
    image, transparent = palette()
    pngs = [encoded(stored(i), "PNG", i) for i in range(1, 9)]
    pngs += [encoded(each, "PNG") for each in (noise, large, DOTS, noise[..., 0])]
    pngs += [encoded(image, "PNG", **transparent), encoded(noise[..., 0] * np.uint16(257), "PNG")]
    jpegs = [encoded(stored(6), "JPEG", 6), encoded(noise, "JPEG"), encoded(large, "JPEG")]
    files = []
    for i, content in enumerate(pngs + jpegs):
        files.append(tmp_path / str(i))
        files[-1].write_bytes(content)
    for fraction in (1.0, 0.875):
        right = data.read_images(files, SHAPE, fraction).astype(int)
        pixels = [serve.with_pillow(each, SHAPE, fraction) for each in pngs + jpegs]
        differences = np.abs(pixels - right).max(axis=(1, 2, 3))
        assert max(differences[: len(pngs)]) <= 1 and max(differences) <= 4, differences
    assert serve.with_pillow(encoded(noise, "PNG"), noise.shape, 1.0).shape == noise.shape
    with pytest.raises(serve.Unreadable):
        serve.with_pillow(pngs[0], noise.shape, 1.0)


def test_versions_columns_and_metadata(ask, expected):
    """What TensorFlow Serving answers beside the rows."""
    of_version = PATH.replace(":", "/versions/7:")
    for inputs in (IMAGES.tolist(), {"images": IMAGES.tolist()}):
        status, said = ask("ONNX", {"inputs": inputs}, path=of_version)
        assert status == 200 and list(said) == ["outputs"]
        np.testing.assert_allclose(said["outputs"]["probabilities"], expected, **CLOSE)
    path = PATH.removesuffix(":predict")
    assert ask("ONNX", None, f"{path}/versions/7", "GET") == ask("ONNX", None, path, "GET")
    status, said = ask("ONNX", None, f"{path}/metadata", "GET")
    assert said["model_spec"] == {"name": "tiny", "signature_name": "", "version": "7"}
    assert status == 200 and said["metadata"]["inputs"]["images"]["shape"] == ["n", *SHAPE]
    assert not {"runs", "path"} & set(said["metadata"])


def test_connections_that_only_wait_keep_nobody_out(ask, servers, folder):
    port, _ = servers["ONNX"]
    with contextlib.ExitStack() as waiting:
        for _ in range(110):
            half = waiting.enter_context(socket.create_connection(("127.0.0.1", port)))
            half.sendall(b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: a")
        assert ask("ONNX", {"instances": IMAGES[:1].tolist()})[0] == 200
    said = (folder / "model.onnx.log").read_text()
    line = r"^20\d\d-.* INFO 127.0.0.1 POST /v1/models/tiny:predict 200 \d+\.\d ms$"
    assert re.search(line, said, re.MULTILINE)
