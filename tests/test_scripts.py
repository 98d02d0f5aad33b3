"""The scripts as a user runs them, and what they say about bad flags."""

import csv
import dataclasses
import importlib
import json
import re
import shutil
import zipfile

import keras
import pytest
import shallow_network
from scripts_at_work import ROOT, assert_refused, ending_of, refusal, said_of
from small_models import tiny_model

from mixmo_tf import networks
from mixmo_tf.experiments.benchmarks import measure
from mixmo_tf.experiments.benchmarks.loops import imagenet_records, random_cifar10


def test_train_says_what_it_trains_and_what_came_out(finished):
    path, _, said = finished
    for line in (
        "Training preact_resnet18_1 with 2 members on digits",
        "training images 1,437 of 32×32×3, in memory",
        "classes         10: 0, 1, 2, 3, 4, …",
        "rows per step   64: 64 images, each 1 times",
        "steps           44: 2 epochs of 22",
        "devices         1 CPU; float32; XLA off",
    ):
        assert line in said
    metrics = json.loads((path / "metrics.json").read_text())
    assert f"ensemble accuracy  {metrics['accuracy']:.2%}" in said
    assert f"\nSaved the model as {path / 'model.keras'}, the metrics " in said
    assert metrics["steps"] == 44 and metrics["examples"] == 360
    assert metrics["libraries"]["keras"] == keras.__version__


def test_train_writes_history_checkpoints_and_flags(finished):
    path, _, _ = finished
    with open(path / "history.csv", newline="") as file:
        history = list(csv.DictReader(file))
    assert len(history) == 2
    assert float(history[1]["loss"]) < float(history[0]["loss"])
    assert {"val_accuracy", "val_member_1_accuracy"} <= set(history[0])
    checkpoints = sorted(file.name for file in (path / "checkpoints").iterdir())
    assert checkpoints == ["step_00000022.keras", "step_00000044.keras"]
    lines = (path / "run.flags").read_text().splitlines()
    assert f"# keras {keras.__version__}" in lines
    assert {"--filters=4", "--seed=0", "--msda=none"} <= set(lines)


def test_evaluate_gives_the_metrics_of_training(finished, tmp_path):
    path, _, _ = finished
    said = said_of("evaluate", f"--model={path}", f"--json={tmp_path / 'kept.json'}")
    results = json.loads((tmp_path / "kept.json").read_text())
    metrics = json.loads((path / "metrics.json").read_text())
    for name in ("accuracy", "nll", "member_accuracy", "ratio_error"):
        assert results[name] == pytest.approx(metrics[name], rel=1e-5)
    for name in ("schema", "both_wrong", "one_wrong"):
        assert results[name] == metrics[name]
    assert results["both_wrong"][0] > 0 and results["schema"] == 2
    assert f"{100 * metrics['accuracy']:.2f}" in said


def test_three_members_a_block_msda_and_augmix_together(tmp_path, shallow, monkeypatch):
    monkeypatch.setattr(importlib.import_module("mixmo_tf.data.augmix"), "VARIANTS", 2)
    flags = "--num_members=3", "--mixing=fmix", "--msda=mixup", "--augmix", "--filters=2"
    flags += "--epochs=1", "--batch_size=64", "--batch_repetitions=1", "--validation_examples=1300"
    said_of("train", *flags, f"--output_dir={tmp_path / 'run'}")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["steps"] == 2  # of 137 images
    assert len(metrics["member_accuracy"]) == 3 and "ratio_error" in metrics


def test_a_directory_with_another_run_is_refused(finished):
    path, flags, _ = finished
    message = "holds a run with other flags (--alpha 2.0 there, 1.0 here)"
    assert_refused("train", [([*flags, "--alpha=1"], message)])


def test_a_directory_with_other_files_is_refused(finished, tmp_path):
    _, flags, _ = finished
    (tmp_path / "model.keras").write_text("keep")
    code, _ = ending_of("train", *flags, f"--output_dir={tmp_path}")
    assert f"{tmp_path} holds model.keras but no run.flags" in code
    assert (tmp_path / "model.keras").read_text() == "keep"


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--mixing=cutmax", "--mixing=cutmax"),
        ("--alpha=much", "--alpha=much"),
        ("--no_such_flag=1", "no_such_flag"),
        ("--seed=", "flag --seed="),
    ],
)
def test_flags_that_cannot_be_read_are_named(flag, message):
    code, said = ending_of("train", flag)
    assert code == 1
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("script", ["train", "evaluate", "show_masks"])
def test_flagfiles_that_are_not_there_are_named(script, tmp_path):
    code, said = ending_of(script, "--flagfile=configs/none.flags")
    message = f"there is no flagfile configs/none.flags (looked in {ROOT})"
    assert code == f"{script}.py: {message}" and not said
    file = tmp_path / "own.flags"
    file.write_text("--flagfile=own.flags\n")
    code, said = ending_of(script, "--alpha=1", f"--flagfile={file}")
    assert code == f"{script}.py: flagfile {file} includes {file}" and not said


BAD_FLAGS = [  # beside what lies out of the bounds of one flag, which test_bad_flags.py tries
    (
        "--batch_size=2000",
        "batch_size must be in [1, 1437], the number of training images, got 2000",
    ),
    ("--milestones=ten", "milestones must be epochs, got ten"),
    (
        "--network=wide_resnet --depth=27",
        "depth of a wide_resnet must be 10, 16, 22, 28, …, got 27",
    ),
    (
        "--num_members=1 --mixing=cow",
        "mixing must be none for num_members=1, got cow",
    ),
    ("--mixing=none", "mixing=none is for num_members=1, got 2 members"),
    ("--msda=cutmix --batch_size=1", "batch_size must be >= 2 for --msda"),
    ("--dataset=mnist", "dataset must be one of digits, "),
    ("--dataset=image_folder:/nowhere", "there is no folder /nowhere"),
    ("--image_size=16", "image_size is for imagenet2012 or image_folder:PATH or tfds:NAME, got 16"),
    ("--validation_examples=5", "validation_examples must be 0 or in [10, 1427]"),
    ("--network=wide_resnet --width=1000000", "depth=28, width=1000000 would take "),
    ("--filters=100000000", "width=1, filters=100000000 would take "),
    ("--width=100000000", "width=100000000, filters=16 would take "),
    (
        "--batch_size=1400 --batch_repetitions=10000",
        "training preact_resnet18 on images of 32×32 with num_members=2, batch_size=1400, "
        "batch_repetitions=10000, width=1, filters=16 would take ",
    ),
    ("--initialize_from=/nowhere", "there is no model at /nowhere"),
    (
        "--dataset=cifar10 --data_dir=/tmp/nowhere",
        "cifar10 is not in /tmp/nowhere/cifar10/3.0.2, and could not be prepared",
    ),
]


@pytest.mark.parametrize("flags, message", BAD_FLAGS)
def test_bad_values_are_named_in_one_line(flags, message, tmp_path, offline):
    output = tmp_path / "run"
    assert message in refusal("train", f"--output_dir={output}", *flags.split())
    assert not output.exists()


def test_evaluate_names_what_is_wrong(finished, tmp_path, offline, untraced):
    path, _, _ = finished
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w"):
        pass
    cases = (
        ([f"--model={tmp_path / 'empty.keras'}"], "empty.keras is not a readable .keras file"),
        ([f"--model={path}", "--json=nowhere/x.json"], "there is no folder nowhere"),
        ([f"--model={tmp_path}"], f"there is no model at {tmp_path / 'model.keras'}"),
        ([f"--model={tmp_path / 'broken.keras'}"], "broken.keras is not a readable .keras file"),
        ([f"--model={path}", "--dataset=cifar10", f"--data_dir={tmp_path}"], "cifar10 is not in"),
        ([f"--model={path}", "--split=validation"], "validation needs validation_examples > 0"),
        ([f"--model={path}", f"--output_dir={path}"], f"{path} exists; choose another"),
        ([f"--model={path}", f"--json={tmp_path}"], f"{tmp_path} is a folder"),
        ([f"--model={path},{path}/"], "--model names a model twice"),
        (
            [f"--model={path},{tmp_path / 'run'}", "--split=validation"],
            f"--validation_examples is 0 in {path}, 50 in {tmp_path / 'run'}",
        ),
        (
            [f"--model={path},{tmp_path / 'other.keras'}"],
            "the models of an ensemble must have the same image_shape: model 0 has (32, 32, 3)",
        ),
    )
    tiny_model().save(tmp_path / "other.keras")
    shutil.copytree(path, tmp_path / "run")
    lines = (path / "run.flags").read_text()
    lines = lines.replace("--validation_examples=0", "--validation_examples=50")
    (tmp_path / "run/run.flags").write_text(lines)
    assert_refused("evaluate", cases)
    code, said = ending_of("evaluate")
    assert (
        code.startswith("evaluate.py: one of --model and --predictions must be given") and not said
    )


def test_benchmarks_run(shallow, monkeypatch, request):
    """On one block in place of a network's; most loops are of two steps, which are not traced."""

    def build(depth, width, num_members, num_classes, image_shape=(32, 32, 3)):
        return shallow_network.build(width, num_members, num_classes, image_shape, filters=16)

    wide_resnet = dataclasses.replace(networks.NETWORKS["wide_resnet"], build=build)
    monkeypatch.setitem(networks.NETWORKS, "wide_resnet", wide_resnet)
    monkeypatch.setattr(networks, "wide_resnet", build)
    monkeypatch.setattr(measure, "imagenet_records", lambda count: imagenet_records(10))
    monkeypatch.setattr(measure, "random_cifar10", lambda count: random_cifar10(100))
    rates = measure._stream_rates

    def few(settings, batches, num_batches):
        return rates(settings, batches, num_batches=2)

    monkeypatch.setattr(measure, "_stream_rates", few)
    small = ["--depth=10", "--width=1", "--rows=8", "--steps=1", "--turns=1", "--images=100"]
    small.append("--settings=two_replicas")  # the others' programs take minutes to compile
    small.append("--batch_size=8")
    printed = "".join(said_of("benchmark", *small, name) for name in ("scaling", "inference"))
    request.getfixturevalue("untraced")
    names = "train", "input", "folder", "masks"
    printed += "".join(said_of("benchmark", *small, name) for name in names)
    for line in (
        "two_replicas",
        "MixMo / plain Keras",
        "crops of 224×224 of ImageNet",
        "folder / memory",
        "vertical_concat",
        "deep ensemble of 2",
    ):
        assert line in printed
    of = dict(
        re.findall(r"^  (\S.*?) +(\d+ operations, +[\d,]+) parameters", printed, re.MULTILINE)
    )
    assert of["folded"] == of["plain network"] != of["MixMo, M = 2"]


def test_a_benchmark_must_be_named():
    for wrong in (["speed"], [], ["train", "masks"]):
        code, _ = ending_of("benchmark", *wrong)
        names = "train, scaling, input, folder, masks, inference, device"
        assert code == f"benchmark.py: say which, once: {names}"
