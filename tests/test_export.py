"""scripts/export.py as a user runs it: every format, checked on real images."""

import json
import re
import shutil

import keras
import numpy as np
import pytest
from scripts_at_work import assert_refused, call, full_disk, refusal, said_of
from small_models import tiny_model

import mixmo_tf
from mixmo_tf import deployment, formats

FILES = ("model.onnx", "model_float32.tflite", "model_float16.tflite", "model_int8.tflite")


def test_every_format_gives_the_models_answers(finished, tmp_path):
    path, _, _ = finished
    output = tmp_path / "served" / "digits" / "1"
    formats = "--format=saved_model,onnx,litert"
    said = said_of("export", f"--model={path}", formats, f"--output_dir={output}")
    assert f"Wrote {output}, folded: uint8 images (n, 32, 32, 3) in; 10 class names" in said
    assert "On 360 images of digits, test; difference: " in said
    accuracy = json.loads((path / "metrics.json").read_text())["accuracy"]
    lines = dict.fromkeys(("SavedModel", *FILES))
    for name in lines:
        (row,) = re.findall(rf"^  {name} +([\d.]+) +([\d.]+) +(\S+)$", said, re.MULTILINE)
        of_file, difference = float(row[1]) / 100, float(row[2])
        exact = "int8" not in name and "float16" not in name
        assert of_file == pytest.approx(accuracy, abs=1e-4 if exact else 0.03)
        assert difference < (1e-5 if exact else 0.3)

    images, _, _ = mixmo_tf.data.load_arrays("digits", "test")
    expected = mixmo_tf.load(path).predict(images, verbose=0)
    answers = mixmo_tf.load(output).predict(images, verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert (output / "class_names.txt").read_text().split() == [str(i) for i in range(10)]
    described = json.loads((output / "model.json").read_text())
    assert described["inputs"]["images"]["shape"] == ["n", 32, 32, 3]
    assert described["outputs"]["probabilities"]["shape"] == ["n", 10]
    assert described["outputs"]["member_logits"]["shape"] == ["n", 1, 10]
    assert list(described["requests"]) == ["saved_model", "onnx", "litert"]
    assert all("images of another shape" in said for said in described["requests"].values())
    assert not list(output.parent.glob("partial-*"))


def test_members_and_what_is_wrong(finished, tmp_path):
    path, _, _ = finished
    model = shutil.copytree(path, tmp_path / "run")
    alone = shutil.copy(path / "model.keras", tmp_path / "alone.keras")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    bfloat16 = ["--precision=mixed_bfloat16", "--check_images=0"]
    flags = [f"--model={model}", "--check_images=20"]
    good = [
        [*flags, "--members"],
        [*flags, "--nofold", f"--output_dir={tmp_path / 'unfolded'}"],
        [*flags, "--ensemble=probabilities", f"--output_dir={tmp_path / 'heads'}"],
    ]
    bad = [
        (flags, f"{model / 'exported'} exists; choose another folder"),
        ([*flags, f"--output_dir={tmp_path / 'there'}"], "there exists; choose another"),
        ([*flags, "--format=coreml", f"--output_dir={tmp_path / 'x'}"], "must be one of saved_m"),
        ([*flags, "--format=litert", "--litert=int4", f"--output_dir={tmp_path / 'x'}"], "int4"),
        ([f"--model={alone}", f"--output_dir={tmp_path / 'x'}"], "name the --dataset; or --check_"),
        (
            [f"--model={alone}", "--format=litert", "--check_images=0"],
            "name the --dataset; or --check_images=0, without int8",
        ),
        (
            [f"--model={alone}", "--format=onnx", *bfloat16],
            "an ONNX file is for networks that compute in float32",
        ),
        (
            [f"--model={alone}", "--format=litert", "--litert=float32", *bfloat16],
            "a LiteRT file is for networks that compute in float32",
        ),
        ([*flags, "--nofold", "--members", f"--output_dir={tmp_path / 'x'}"], "--nofold not to"),
        ([*flags, "--format=", f"--output_dir={tmp_path / 'x'}"], "format must be one of saved_"),
        ([*flags, "--dataset=image_folder:/no", f"--output_dir={tmp_path / 'x'}"], "without int8"),
        ([f"--model={tmp_path / 'none.keras'}"], "there is no model at"),
    ]
    printed = "".join(said_of("export", *flags) for flags in good)
    assert_refused("export", bad)
    assert printed.count("folded, heads kept") == 2 and printed.count("not folded") == 1
    expected = mixmo_tf.load(path)
    images, _, _ = mixmo_tf.data.load_arrays("digits", "test")
    for folder in (model / "exported", tmp_path / "unfolded"):
        exported = mixmo_tf.load(folder)
        assert exported.num_members == 2
        logits = expected.member_logits(images)
        np.testing.assert_allclose(exported.member_logits(images), logits, atol=1e-4)
    assert not (tmp_path / "x").exists() and not (tmp_path / "exported").exists()


def test_a_deep_ensemble_keeps_heads_where_probabilities_are_averaged(finished, tmp_path):
    path, _, _ = finished
    model = mixmo_tf.load(path)
    for name, ensemble in (("logits", "logits"), ("a", "probabilities"), ("b", "probabilities")):
        model.ensemble = ensemble
        model.save(tmp_path / f"{name}.keras")
    flags = ["--check_images=0", "--ensemble=logits"]
    of_heads = [f"--model={tmp_path / 'a.keras'},{tmp_path / 'b.keras'}", *flags]
    calls = [
        [*of_heads, f"--output_dir={tmp_path / 'heads'}"],
        [*of_heads, "--nofold", f"--output_dir={tmp_path / 'unfolded'}"],
    ]
    endings, printed = call("export", *calls)
    assert endings == [None, None] and printed.count("folded, heads kept") == 1
    images = mixmo_tf.data.load_arrays("digits", "test")[0][:20]
    ours, theirs = (
        mixmo_tf.load(tmp_path / name).predict(images, verbose=0) for name in ("heads", "unfolded")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_nothing_is_left_where_writing_fails(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"cannot write {tmp_path}/file/x: "):
        deployment.export(tiny_model(), tmp_path / "file" / "x", ["saved_model"])
    with pytest.raises(ValueError, match="format must be one of saved_model, onnx, litert, got"):
        deployment.export(tiny_model(), tmp_path / "x", ["coreml"])
    with pytest.raises(ValueError, match="a Sequential cannot be exported"):
        deployment.export(keras.Sequential(), tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing(tmp_path):
    model, images = tiny_model(), np.zeros((2, 16, 16, 3), np.uint8)
    for names in (["saved_model"], ["onnx"], ["litert"]):
        with full_disk(1_000), pytest.raises(OSError) as error:
            deployment.export(model, tmp_path / "x", names, calibration_images=images)
        message = str(error.value)
        assert message.startswith(f"cannot write {tmp_path}/x: ") and "partial-" not in message
        assert "{{" not in message and "\n" not in message
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays(tmp_path):
    (tmp_path / "partial-x").mkdir()
    (tmp_path / "partial-x" / "notes").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    model = tiny_model()
    files = {"x": ("litert", "model_float32.tflite"), "link": ("saved_model", "saved_model.pb")}
    for name, (kind, file) in files.items():
        deployment.export(model, tmp_path / name, [kind], ["float32", "float32"])
        assert (tmp_path / name / file).is_file()
        with pytest.raises(FileExistsError, match="exists; choose another folder"):
            deployment.export(model, tmp_path / name)
    assert (tmp_path / "partial-x" / "notes").is_file()
    with pytest.raises(
        ValueError, match="x has no SavedModel; load one of its files: model_float32"
    ):
        mixmo_tf.load(tmp_path / "x")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"partial-x", "x", "link", "target"}


def test_a_difference_that_is_no_number_fails_the_check(finished, tmp_path):
    path, _, _ = finished
    run_of_nan = shutil.copytree(path, tmp_path / "run")
    model = mixmo_tf.load(run_of_nan)
    head = model.network.get_layer("head_1").bias
    head.assign(np.full(head.shape, np.nan))
    model.save(run_of_nan / "model.keras")
    failed = f"export.py: {run_of_nan / 'exported'} failed its check: its probabilities or the"
    assert refusal("export", f"--model={run_of_nan}", "--check_images=10").startswith(failed)


def test_tflite_is_litert(finished, tmp_path):
    path, _, _ = finished
    flags = [f"--model={path}", "--format=tflite", "--litert=int8", "--check_images=20"]
    endings, printed = call("export", [*flags, f"--output_dir={tmp_path / 'x'}"])
    assert endings == [None] and "model_int8.tflite" in printed
    names = {file.name for file in (tmp_path / "x").iterdir()}
    assert names == {"model_int8.tflite", "model.json", "class_names.txt"}
    tiny_model().export(tmp_path / "y.tflite", format="tflite")
    assert mixmo_tf.load(tmp_path / "y.tflite").num_classes == 4


def test_a_new_format_is_a_line_of_the_table(tmp_path, monkeypatch):
    toy = formats.Format(
        write=lambda model, path: path.write_text(f"{model.num_classes} classes"),
        check=lambda model, **_: None,
        files=lambda **_: {"model.toy": {}},
        requests="any",
        what="for toys",
    )
    monkeypatch.setitem(formats.FORMATS, "toy", toy)
    model = tiny_model()
    written = deployment.export(model, tmp_path / "x", ["toy", "saved_model"])
    assert written == [tmp_path / "x", tmp_path / "x/model.toy"]
    model.export(tmp_path / "y.toy", format="toy")
    for file in (tmp_path / "x/model.toy", tmp_path / "y.toy"):
        assert file.read_text() == "4 classes"
    with pytest.raises(ValueError, match="must be one of tf_saved_model, onnx, litert, toy, got"):
        model.export(tmp_path / "z", format="coreml")
