"""JSON that every reader takes; metrics.json of this version and of those before."""

import json
import pathlib
import re

import numpy as np
import pytest

from mixmo_tf import evaluation, strict_json
from mixmo_tf.evaluation import metrics_json

PACKAGE = pathlib.Path(strict_json.__file__).parent


def strictly(text):
    """What a parser makes of it that knows neither NaN nor Infinity."""

    def refuse(name):
        raise AssertionError(f"{name} in {text}")

    return json.loads(text, parse_constant=refuse)


def test_what_is_not_finite_is_null_with_a_sentence():
    content = {
        "a": float("nan"),
        "b": [1, np.float32(0.5), -np.inf],
        "c": {"d": np.float64("inf"), "e": np.int64(3)},
        "f": (True, None, "NaN"),
    }
    assert strictly(strict_json.dumps(content)) == {
        "a": None,
        "b": [1, 0.5, None],
        "c": {"d": None, "e": 3, "undefined": {"d": "infinite"}},
        "f": [True, None, "NaN"],
        "undefined": {"a": "not a number", "b": "infinite"},
    }
    assert strictly(strict_json.dumps([{"a": 1.5}])) == [{"a": 1.5}]
    said = {"a": float("nan"), "b": np.inf, "undefined": {"a": "why"}}
    expected = {"a": "why", "b": "infinite"}
    assert strictly(strict_json.dumps(said))["undefined"] == expected
    with pytest.raises(TypeError):
        strict_json.dumps({"a": object()})


def test_a_list_of_numbers_is_one_line():
    content = {"a": [1, -2.5e-30, None], "b": [[1, 2], [3, 4]], "c": "[\n 1, 2\n]", "d": ["1"]}
    text = strict_json.dumps(content)
    assert strictly(text) == content
    assert text.splitlines()[1:6] == [
        '  "a": [1, -2.5e-30, null],', '  "b": [', "    [1, 2],", "    [3, 4]", "  ],",
    ]  # fmt: skip
    assert strict_json.dumps([1, 2]) == "[1, 2]\n"


def test_nothing_else_writes_json():
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "scripts").glob("*.py")]
    writers = {file.name for file in files if re.search(r"\bjson\.dumps?\(", file.read_text())}
    told = {"strategies.py", "latency.py", "timing.py", "device.py", "device_process.py"}
    assert writers == {"strict_json.py", *told}  # what processes are told: no files


def test_metrics_are_read_as_they_were_written(tmp_path):
    """A run's file and that of evaluate.py are one schema: what either knows alone is more."""
    metrics = {"accuracy": 0.5, "nll": float("inf"), "ratio_error": float("nan")}
    about = {"dataset": "digits", "split": "test", "examples": 360, "ensemble": "logits"}
    about["libraries"] = {"keras": "3"}
    expected = {"schema": 2, **metrics, **about, "nll": None, "ratio_error": None}
    expected["undefined"] = {
        "nll": "infinite",
        "ratio_error": "on no example are both of two members wrong",
    }
    of_run = metrics_json.described(metrics, **about, steps=44)
    of_models = metrics_json.described(metrics, **about, models=["a"])
    file = tmp_path / "metrics.json"
    metrics_json.write_metrics(file, of_run)
    assert strictly(file.read_text()) == evaluation.read_metrics(tmp_path)
    assert evaluation.read_metrics(tmp_path) == expected | {"steps": 44}
    with pytest.raises(OSError, match="cannot write .*metrics.json"):
        metrics_json.write_metrics(file, of_run)
    metrics_json.write_metrics(file, [of_run, of_models], replace=True)
    read = evaluation.read_metrics(file)
    assert read == [expected | {"steps": 44}, expected | {"models": ["a"]}]


@pytest.mark.parametrize(
    "ratio, members, both, one",
    [
        (10 / 360, (355 / 360, 1), 0, 5),  # the published fallback: five single errors
        (4.0, (355 / 360, 359 / 360), 1, 4),  # or one that is shared
        (0.0, (1, 1), 0, 0),
        (np.float32(7 / 3), (352 / 360, 355 / 360), 3, 7),
        (np.float32(1), (0.9, 0.9), 24, 24),
    ],
)
def test_an_earlier_file_is_read_in_todays_keys(tmp_path, ratio, members, both, one):
    old = {"examples": 360, "accuracy": 0.99, "nll": 0.1, "ratio_error": float(ratio)}
    old |= {"member_accuracy": members, "disagreement": one / 360}
    (tmp_path / "metrics.json").write_text(json.dumps(old))
    metrics = evaluation.read_metrics(tmp_path)
    assert metrics["schema"] == metrics_json.SCHEMA and metrics["nll"] == 0.1
    assert metrics["error_disagreement"] == one / 360 and "disagreement" not in metrics
    assert metrics["ratio_error_published"] == float(ratio)
    assert metrics["ratio_error"] == (float(ratio) if both else None)
    assert (metrics["both_wrong"], metrics["one_wrong"]) == ([both], [one])


def test_what_an_earlier_file_does_not_tell_is_none(tmp_path):
    """Three members' pairs; a ratio that two errors may have as well as none; no accuracies."""
    for more in (
        {"member_accuracy": [0.9] * 3, "examples": 360, "ratio_error": 1.5},
        {"member_accuracy": [0.5, 0.5], "examples": 360, "ratio_error": 2.0},  # 90 shared, or 0
        {"ratio_error": 1.5},
        {"member_accuracy": [0.9, 0.9], "examples": 360, "ratio_error": 1.7},  # of other images
    ):
        (tmp_path / "metrics.json").write_text(json.dumps({"accuracy": 0.9, **more}))
        metrics = evaluation.read_metrics(tmp_path)
        assert metrics["ratio_error"] is None and "both_wrong" not in metrics
        assert metrics["ratio_error_published"] == more["ratio_error"]
    content = '{"accuracy": 0.9, "nll": NaN, "member_nll": [Infinity]}'
    (tmp_path / "metrics.json").write_text(content)
    metrics = evaluation.read_metrics(tmp_path)
    assert metrics == {"schema": 2, "accuracy": 0.9, "nll": None, "member_nll": [None]}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "metrics.json is damaged"),
        (b"\xff\x00", "metrics.json is damaged"),
        (b"[" * 100_000, "metrics.json is damaged .it is nested too deep"),
        (b"3", "holds no metrics by name"),
        (b"[3]", "holds no metrics by name"),
        (b'{"schema": 3}', "has schema 3, and this version reads up to 2"),
        (b'{"schema": "new"}', "has schema new, and this version reads up to 2"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        evaluation.read_metrics(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)
