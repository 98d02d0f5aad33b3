"""`benchmark.py inference --model`: each format of one's own model, and as many threads as said."""

import json
import re
import shutil
import sys

import forking
import numpy as np
import pytest
from scripts_at_work import ROOT, assert_refused

from mixmo_tf import deployment, extras, formats
from mixmo_tf.experiments.benchmarks import latency, measure
from mixmo_tf.experiments.benchmarks.latency import measure_latency
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings

FILES = ["SavedModel", "model.onnx", "model_float32.tflite", "model_int8.tflite"]


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """What export writes of the run: a SavedModel's folder, an ONNX and a LiteRT file."""
    path = tmp_path_factory.mktemp("models") / "exported"
    formats_of_all = ["saved_model", "onnx", "litert"]
    return deployment.export(deployment.load(finished[0]), path, formats_of_all, ["float32"])


@pytest.fixture(autouse=True)
def forked(monkeypatch):
    """What times the files is forked from a process that has imported TensorFlow."""
    monkeypatch.setattr(latency, "subprocess", forking)


def numbers_of(said, num_columns):
    """The lines of the tables: names, and a list of numbers each."""
    pattern = rf"^  (\S+)((?: +[\d.,]+){{{num_columns}}})$"
    found = re.findall(pattern, said, re.MULTILINE)
    return [(name, [float(n.replace(",", "")) for n in line.split()]) for name, line in found]


def test_each_format_of_a_run_beside_the_plain_network(finished, shallow, caplog):
    settings = BenchmarkSettings(model=finished[0], batch_size="1,3", threads=[2], turns=2)
    with caplog.at_level("INFO", "mixmo_tf"):
        measure.measure("inference", settings)
    assert "beside each the plain network, preact_resnet18_1" in caplog.text
    for size in (1, 3):
        calls = {1: 64, 3: 50}[size]
        assert f"Batches of {size}, 2 threads, {calls} calls a turn:" in caplog.text
    lines = numbers_of(caplog.text, 6)
    assert [name for name, _ in lines] == FILES * 2
    for i, (_, (median, of_99, rate, processors, plain, plain_of_99)) in enumerate(lines):
        assert 0 < median <= of_99 and 0 < plain <= plain_of_99
        assert 0 < processors < 4  # two threads; some milliseconds are not measured better
        size = (1, 3)[i // len(FILES)]
        assert 0 < rate < 1.01 * size * 1000 / (median / 2 - 0.005)  # half of all take the median


def test_a_file_alone_and_what_is_missing(finished, exported, tmp_path, monkeypatch, caplog):
    settings = {"batch_size": [64], "turns": 1}  # so many that each call takes a while
    with caplog.at_level("INFO", "mixmo_tf"):
        (alone,) = measure_latency(BenchmarkSettings(model=exported[-1], **settings))
    assert (alone.file, alone.is_plain) == ("model_float32.tflite", False)
    assert (alone.num_threads, alone.num_images) == (1, 64)
    assert alone.median <= alone.percentile_99 and alone.processors < 1.2
    shutil.copy(finished[0] / "model.keras", tmp_path / "alone.keras")
    check = extras.check

    def without_onnx(extra, packages):
        check(extra, [*packages, "nowhere"])

    monkeypatch.setattr(extras, "check", without_onnx)
    monkeypatch.delitem(formats.FORMATS, "litert")  # which takes a while to write
    with caplog.at_level("INFO", "mixmo_tf"):
        measure_latency(BenchmarkSettings(model=tmp_path / "alone.keras", **settings))
    assert "beside it is no run.flags, and so no plain network" in caplog.text
    assert 'onnx is left out: nowhere must be installed: pip install -e ".[onnx]"' in caplog.text
    names = [name for name, _ in numbers_of(caplog.text, 4)]
    assert names == ["model_float32.tflite", "SavedModel"]


COUNT = """
import json, os, sys
import numpy as np, tensorflow as tf
from mixmo_tf.experiments.benchmarks import timing

def count():
    return len(os.listdir("/proc/self/task"))

images = np.zeros((64, 32, 32, 3), np.uint8)
saved_model, *files = sys.argv[1:]
found = []
for file, threads in [(file, threads) for file in files for threads in (0, 1, 6)]:
    if not threads:  # a library has threads of its own too, from its first model on
        timing.opened(file, 1)
        continue
    before = count()
    answer = timing.opened(file, threads)
    answer(images)
    found.append(count() - before)
    kept = globals().setdefault("kept", []) + [answer]
before = count()
timing.time_files({"a": saved_model}, [32, 32, 3], [1], 7, 1, [1])
print(json.dumps([found, count() - before]))
"""


def test_as_many_threads_as_said(exported):
    """By the threads that the process has: ONNX Runtime's, LiteRT's and TensorFlow's."""
    command = [sys.executable, "-c", COUNT, *map(str, exported)]
    child = forking.run(command, cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-2000:]
    found, of_tensorflow = json.loads(child.stdout.splitlines()[-1])
    assert found == [0, 5, 0, 5]  # beside the thread that asks
    assert of_tensorflow >= 7


def test_what_is_wrong_is_named(finished, tmp_path):
    model = f"--model={finished[0]}"
    cases = [
        (["inference", model, "--threads=0"], "threads must be >= 1, got 0"),
        (["inference", model, "--threads=two"], "threads must be whole numbers, got two"),
        (["inference", model, "--threads=1.5"], "threads must be whole numbers, got 1.5"),
        (["inference", model, "--threads=1,,2"], "threads must be whole numbers, got 1,,2"),
        (["inference", model, "--threads=5000"], "threads must be <= 256, got 5000"),
        (["inference", model, "--batch_size=1,x"], "batch_size must be whole numbers, got 1,x"),
        (["inference", model, "--batch_size=32,0"], "batch_size must be >= 1, got 0"),
        (["inference", "--threads=2"], "threads are for a --model"),
        (["masks", model], "model is for inference, not for masks"),
        (["inference", f"--model={tmp_path}/nowhere"], "nowhere"),
    ]
    assert_refused("benchmark", cases)


def test_images_per_batch_as_before_and_with_commas():
    of = BenchmarkSettings
    assert of(batch_size=["1", "32"]).batch_size == of(batch_size="1,32").batch_size == (1, 32)
    assert of(batch_size=["1,2", 3]).batch_size == (1, 2, 3)
    with pytest.raises(ValueError, match="batch_size must be there"):
        of(batch_size=[])
    assert np.allclose(of().batch_size, (1, 256))
