"""What a run writes of itself: history.csv, its best model, curves and pictures in TensorBoard."""

import collections
import csv
import types

import pytest
import tensorflow as tf
from small_models import assert_same
from stopped_runs import (
    EPOCHS,
    STEPS,
    Killed,
    assert_equal_runs,
    at,
    everything,
    examples,
    kill,
    renewed_model,
    train,
)

from mixmo_tf.training import checkpoints, history, logs, loop


def test_history_and_best_model(undisturbed):
    _, path = undisturbed
    with open(path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([0.005, 0.005, 0.005])  # the second epoch begins the ×0.1
    accuracies = [float(row["val_accuracy"]) for row in rows]
    epoch, accuracy = history.best_epoch(path)
    assert accuracy == max(accuracies) and epoch == 1 + accuracies.index(accuracy)
    best = checkpoints.load_model(path / "best.keras")
    assert int(best.step.numpy()) == epoch * STEPS
    held_out = examples(12, 1)
    results = best.evaluate(held_out.images, held_out.labels, verbose=0, return_dict=True)
    assert results["accuracy"] == pytest.approx(accuracy)


def test_without_images_held_out_there_is_no_best_model(tmp_path):
    train(tmp_path, keep_best=False)
    assert not (tmp_path / "best.keras").exists()


def pictures_in(path):
    """The pictures in TensorBoard: how often each is there, by (part, tag, step)."""
    found = collections.Counter()
    for file in (path / "tensorboard").rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "images":
                    _, _, png = tf.make_ndarray(value.tensor)
                    assert tf.io.decode_png(png).numpy().std() > 10
                    found[file.parent.name, value.tag, event.step] += 1
    return found


def test_pictures_move_no_number(tmp_path, monkeypatch, undisturbed):
    """They are drawn at the start and the end, once, whatever comes between."""
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_end", at(8, kill))
        train(tmp_path, pictures=True)
    assert_equal_runs(train(tmp_path, pictures=True), tmp_path, *undisturbed)
    assert pictures_in(tmp_path) == {
        ("train", "mixing/cutmix", 0): 1,
        ("train", "mixing/linear", 0): 1,
        ("validation", "reliability", 15): 1,
    }


def test_what_a_run_writes_moves_no_weight(undisturbed):
    """A `fit` that writes nothing, on the same images."""
    model = renewed_model()
    batches = examples(42, 0).training_batches(8, model.seed)
    model.fit(batches, steps_per_epoch=STEPS, epochs=EPOCHS, verbose=0)
    assert_same(everything(model), undisturbed[0])


def curves_in(path):
    """What TensorBoard shows of a run: numbers by step, by (part, tag)."""
    curves = {}
    for folder in (path / "tensorboard").iterdir():
        part, (file,) = folder.name, folder.iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                curves.setdefault((part, value.tag), {})[event.step] = number
    return curves


def test_images_per_second_are_of_the_steps_since_the_last_point(tmp_path, monkeypatch):
    """By a clock on which each step takes two seconds."""
    model = renewed_model()
    clock = types.SimpleNamespace(perf_counter=lambda: 2.0 * int(model.step.numpy()))
    monkeypatch.setattr(logs, "time", clock)
    loop.train(
        model, examples(42, 0), examples(12, 1), tmp_path,
        epochs=2, batch_size=8, verbose=0, pictures=False,
    )  # fmt: skip
    assert curves_in(tmp_path)["train", "images_per_second"] == {5: 4.0, 10: 4.0}


def test_tensorboard_has_every_curve(undisturbed):
    _, path = undisturbed
    curves = curves_in(path)
    train_tags = {tag for part, tag in curves if part == "train"}
    assert train_tags == {
        "loss", "member_0_accuracy", "member_1_accuracy", "binary_share", "learning_rate",
        "images_per_second",
    }  # fmt: skip
    assert {tag for part, tag in curves if part == "validation"} == {
        "loss", "accuracy", "member_0_accuracy", "member_1_accuracy", "ratio_error", "ece",
    }  # fmt: skip
    for member in ("member_0", "member_1"):  # as the validation has it, beside the ensemble
        assert {tag for part, tag in curves if part == member} == {"loss", "accuracy", "ece"}
        of_validation = curves["validation", f"{member}_accuracy"]
        assert curves[member, "accuracy"] == pytest.approx(of_validation)
    assert all(list(points) == [5, 10, 15] for points in curves.values())
    with open(path / "history.csv", newline="") as file:
        for row, step in zip(csv.DictReader(file), (5, 10, 15), strict=True):
            assert curves["train", "loss"][step] == pytest.approx(float(row["loss"]))
            assert curves["validation", "accuracy"][step] == pytest.approx(
                float(row["val_accuracy"])
            )
