"""What examples/serve.py refuses, and when: its functions in this process, without a model."""

import asyncio
import base64
import contextlib
import importlib.util
import json
import socket
import sys

import numpy as np
import pytest
from scripts_at_work import ROOT

pytest.importorskip("uvicorn", reason='needs uvicorn: pip install -e ".[serve]"')
pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def serve():
    spec = importlib.util.spec_from_file_location("serve", ROOT / "examples/serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mistakes_on_the_command_line(serve, tmp_path, monkeypatch, capsys):
    for file in ("model.onnx", "saved_model.pb"):
        (tmp_path / file).write_bytes(b"damaged")
    for path in (tmp_path / "model.onnx", tmp_path):
        monkeypatch.setattr(sys, "argv", ["serve.py", str(path), "--port=0"])
        with pytest.raises(SystemExit, match=f"^serve.py: {path} cannot be served: .+$"):
            serve.main()
    monkeypatch.setattr(sys, "argv", ["serve.py", "nowhere"])
    with pytest.raises(SystemExit, match="^serve.py: nowhere is no SavedModel's folder and no"):
        serve.main()
    (tmp_path / "2").mkdir()
    (tmp_path / "model.onnx").rename(tmp_path / "2/model.onnx")
    (tmp_path / "saved_model.pb").rename(tmp_path / "2/saved_model.pb")
    monkeypatch.setattr(sys, "argv", ["serve.py", str(tmp_path)])
    with pytest.raises(SystemExit, match=f", but in it are {tmp_path}/2, {tmp_path}/2/model.onnx$"):
        serve.main()
    monkeypatch.setattr(sys, "argv", ["serve.py", "nowhere", "--name=a/b"])
    with pytest.raises(SystemExit):
        serve.main()
    assert "argument --name: a name has letters" in capsys.readouterr().err


def test_a_request_that_does_not_end(serve, monkeypatch):
    async def receive():
        await asyncio.sleep(60)

    monkeypatch.setattr(serve, "PATIENCE", 0.01)
    request = serve.Request({"type": "http", "headers": []}, receive)
    with pytest.raises(serve.Refused, match="must arrive within") as refused:
        asyncio.run(serve._body(request))
    assert refused.value.status == 408


def test_a_body_without_a_length(serve):
    async def receive():
        return {"type": "http.request", "body": bytes(2**20), "more_body": True}

    request = serve.Request({"type": "http", "headers": []}, receive)
    with pytest.raises(serve.Refused, match="must have at most") as refused:
        asyncio.run(serve._body(request))
    assert refused.value.status == 413


def signatures(serve, asked, damaged=b"damaged"):
    """A model that gives the sums of what it is asked, and keeps that."""

    def run(values):
        asked.append(values)
        if isinstance(values, list) and damaged in values:
            raise serve.Unreadable
        return {"sums": np.arange(len(values))}

    pixels = serve.Signature("images", (2, 2, 3), run, [np.zeros((2, 2, 3), int).tolist()])
    files = serve.Signature("image_bytes", (), run, [b"png", b"jpeg"], lambda file: 10 * len(file))
    return {serve.PIXELS: pixels, serve.FILES: files}


def in_base64(*contents):
    texts = [base64.b64encode(content).decode() for content in contents]
    request = {"signature_name": "serving_bytes", "instances": [{"b64": text} for text in texts]}
    return json.dumps(request).encode()


def test_each_way_of_asking_is_warmed_up(serve):
    asked = []
    serve.app(signatures(serve, asked), "a")
    assert [np.shape(each) for each in asked] == [(1, 2, 2, 3), (1,), (1,)]
    assert asked[1:] == [[b"png"], [b"jpeg"]]


def test_the_pixels_of_a_request_count_together(serve):
    asked = []
    of_files = signatures(serve, asked)
    assert serve.answer(of_files, in_base64(b"12", b"345"), "", 50)["predictions"]
    sentence = "must have at most 49 pixels together, got 50$"
    with pytest.raises(serve.Refused, match=sentence) as refused:
        serve.answer(of_files, in_base64(b"12", b"345"), "", 49)
    assert refused.value.status == 413 and asked == [[b"12", b"345"]]


def test_which_file_is_damaged(serve):
    with pytest.raises(serve.Refused, match=r"number 2 \(from 0\) is damaged"):
        request = in_base64(b"1", b"2", b"damaged", b"3")
        serve.answer(signatures(serve, []), request, "")


def test_pixels_alone_say_what_files_need(serve):
    of_pixels = {serve.PIXELS: signatures(serve, [])[serve.PIXELS]}
    with pytest.raises(serve.Refused, match="or Pillow and model.json beside"):
        serve.answer(of_pixels, b"", "image/png")


def test_too_many_requests_are_told_so(serve, monkeypatch):
    monkeypatch.setattr(serve, "MOST_REQUESTS", 0)
    scope = {
        "type": "http", "method": "POST", "path": "/v1/models/a:predict", "headers": [],
        "query_string": b"",
    }  # fmt: skip
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(serve.app(signatures(serve, []), "a")(scope, None, send))
    assert sent[0]["status"] == 503
    assert "come again later" in json.loads(sent[1]["body"])["error"]


def test_headers_that_do_not_come(serve, monkeypatch):
    """A connection is closed, whether nothing came or the half, and trickling does not help."""
    monkeypatch.setattr(serve, "PATIENCE_WITH_HEADERS", 0.5)
    monkeypatch.setattr(serve, "MOST_CONNECTIONS", 3)
    model = serve.app(signatures(serve, []), "a")
    config = serve.uvicorn.Config(model, log_config=None, lifespan="off")
    state = serve.uvicorn.server.ServerState()

    async def closed(port, *parts):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.2)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return answer

    async def all_closed():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: serve.Connection(config, state, {}), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        whole = b"GET /v1/models/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        async with server:
            return [
                await closed(port),
                await closed(port, *[b"GET / HTTP/1.1\r\n"] * 4),
                await closed(port, whole),
            ]

    nothing, half, answer = asyncio.run(all_closed())
    assert nothing == half == b"" and b"200 OK" in answer and b"AVAILABLE" in answer


def test_a_busy_port_is_said_before_the_model_is_loaded(serve, tmp_path, monkeypatch):
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = f"--port={other.getsockname()[1]}"
        monkeypatch.setattr(sys, "argv", ["serve.py", str(tmp_path), port])
        with pytest.raises(SystemExit, match="^serve.py: cannot listen on port .* in use$"):
            serve.main()
