"""A run that stops anywhere and is taken up again ends as if it had never stopped."""

import collections
import csv
import functools
import itertools
import os
import signal
import threading
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import assert_same, tiny_model

from mixmo_tf import AnnealedProbability
from mixmo_tf.data import Examples, Info
from mixmo_tf.training import WarmupMultiStep, checkpoints, history, logs, loop, signals

EPOCHS, STEPS = 3, 5  # 40 images, 8 per step


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the package catches it."""


def examples(num_images, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, num_images)
    images = random.integers(0, 60, (num_images, 16, 16, 3)) + 60 * labels[:, None, None, None]
    info = Info("made here", num_images, (16, 16, 3), tuple("abcd"))
    return Examples(images.astype(np.uint8), labels, info)


def new_model():
    keras.utils.set_random_seed(0)
    probability = AnnealedProbability(0.5, EPOCHS * STEPS)
    model = tiny_model(mixing_probability=probability, batch_repetitions=2, l2=1e-4)
    rate = WarmupMultiStep(0.05, 4, (2,), STEPS)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9, nesterov=True), metrics=["accuracy"])
    return model


@functools.cache
def traced():
    """A model whose steps TensorFlow traces once, and the state that it began with."""
    model = new_model()
    return model, model.state()


def renewed_model():
    """The same as `new_model`, in what `MixMo.state` knows of it."""
    model, state = traced()
    model.set_state(state)
    return model


def train(path, model=None, **options):
    """What the command train does: goes on from the newest checkpoint, if there is one.

    Its state, an array of each weight and of what the optimizer knows.
    """
    path.mkdir(exist_ok=True)
    model = model or renewed_model()
    if newest := checkpoints.load_newest(path / "checkpoints"):
        model.set_state(newest.state())
    options = {"checkpoint_steps": 2, "keep_best": True, "pictures": False, **options}
    loop.train(
        model, examples(42, 0), examples(12, 1), path,
        epochs=EPOCHS, batch_size=8, verbose=0, **options,
    )  # fmt: skip
    return everything(model)


def everything(model):
    return [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]


def assert_equal_runs(state, path, other_state, other_path):
    assert_same(state, other_state)
    assert (path / "history.csv").read_text() == (other_path / "history.csv").read_text()
    best = [checkpoints.load_model(p / "best.keras") for p in (path, other_path)]
    assert_same(*map(everything, best))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed")
    return train(path), path


def at(moment, action):
    """A callback method that does `action` at its call number `moment`, from 1."""
    calls = itertools.count(1)

    def method(self, *_, **__):
        if next(calls) == moment:
            action()

    return method


def kill():
    raise Killed


@pytest.mark.parametrize("step", [1, 5, 8, 15])
def test_killed_after_any_step(tmp_path, monkeypatch, undisturbed, step):
    with monkeypatch.context() as patch:
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_end", at(step, kill))
        with pytest.raises(Killed):
            train(tmp_path)
    model = new_model() if step == 8 else None  # as in another process
    assert_equal_runs(train(tmp_path, model), tmp_path, *undisturbed)


def test_classes_weigh_alike_after_a_kill(tmp_path, monkeypatch, undisturbed):
    one, other = tmp_path / "one", tmp_path / "other"
    state = train(one, balanced=True)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_end", at(8, kill))
        train(other, balanced=True)
    assert_equal_runs(train(other, balanced=True), other, state, one)
    assert np.any(state[1] != undisturbed[0][1])


@pytest.mark.parametrize("hook", ["on_test_begin", "on_epoch_end"])
@pytest.mark.parametrize("epoch", [1, 3])
def test_killed_before_or_after_validation(tmp_path, monkeypatch, undisturbed, hook, epoch):
    """A checkpoint is there, the line of the epoch in history.csv is not."""
    with monkeypatch.context() as patch:
        patch.setattr(logs.TensorBoardLogs, hook, at(epoch, kill), raising=False)
        with pytest.raises(Killed):
            train(tmp_path)
    history_file = tmp_path / "history.csv"
    lines = history_file.read_text().splitlines() if history_file.exists() else []
    assert len(lines) in (0, epoch)
    assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_save_and_end_at_once(tmp_path, monkeypatch, undisturbed, number):
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        send = at(8, lambda: os.kill(os.getpid(), number))
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_begin", send, raising=False)
        with pytest.raises(signals.Interrupted, match=signal.Signals(number).name):
            train(tmp_path, checkpoint_steps=None)
    saved = sorted(f.name for f in (tmp_path / "checkpoints").iterdir())
    assert saved == ["step_00000005.keras", "step_00000008.keras"]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


def test_a_signal_during_validation_does_not_wait_for_its_end(tmp_path, monkeypatch, undisturbed):
    with monkeypatch.context() as patch:
        patch.setattr(loop, "EVALUATION_BATCH_SIZE", 4)  # three batches
        send = at(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        patch.setattr(logs.TensorBoardLogs, "on_test_batch_begin", send, raising=False)
        with pytest.raises(signals.Interrupted):
            train(tmp_path, checkpoint_steps=None)
    assert [f.name for f in (tmp_path / "checkpoints").iterdir()] == ["step_00000005.keras"]
    assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


def test_a_signal_after_the_last_step_is_not_lost(tmp_path, monkeypatch, undisturbed):
    with monkeypatch.context() as patch:
        send = at(EPOCHS, lambda: os.kill(os.getpid(), signal.SIGTERM))
        patch.setattr(logs.TensorBoardLogs, "on_epoch_end", send, raising=False)
        with pytest.raises(signals.Interrupted, match="SIGTERM"):
            train(tmp_path)
    assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


def test_training_in_another_thread_leaves_the_signals_alone(tmp_path):
    """Python lets the main thread alone answer signals, and raises in others."""
    handlers, failed = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)], []

    def train_there():
        try:
            train(tmp_path, keep_best=False)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=train_there)
    thread.start()
    thread.join()
    assert not failed and len((tmp_path / "history.csv").read_text().splitlines()) == 1 + EPOCHS
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def test_a_second_ctrl_c_does_not_wait():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
    request_ends_with_ctrl_c()
    signal.signal(signal.SIGINT, before)


def request_ends_with_ctrl_c():
    with signals.StopRequest() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.signal == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()


def test_history_that_is_lost_is_not_made_up(tmp_path):
    train(tmp_path)
    file = tmp_path / "history.csv"
    for content in (b"", b"garbage\n", file.read_bytes().splitlines(keepends=True)[0]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="history.csv lacks some of the 2 epochs"):
            train(tmp_path)
        assert file.read_bytes() == content


def test_a_damaged_checkpoint_pushes_no_good_one_out(tmp_path, monkeypatch, undisturbed):
    with monkeypatch.context() as patch:
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_end", at(8, kill))
        with pytest.raises(Killed):
            train(tmp_path)
    (tmp_path / "checkpoints" / "step_00000014.keras").write_bytes(b"damaged")
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="00000014.keras is no"):
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_end", at(4, kill))
        with pytest.raises(Killed):
            train(tmp_path)
    names = [file.name for file in checkpoints.files(tmp_path / "checkpoints")]
    assert names == ["step_00000010.keras", "step_00000012.keras", "step_00000014.keras"]
    with pytest.warns(UserWarning, match="step_00000014.keras is no readable"):
        assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


def test_a_line_cut_short_in_history_is_written_anew(tmp_path, undisturbed):
    train(tmp_path)
    file = tmp_path / "history.csv"
    file.write_bytes(file.read_bytes()[:-30])
    assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


def test_a_finished_run_is_not_trained_again(tmp_path, undisturbed):
    train(tmp_path)
    newest = max((tmp_path / "checkpoints").iterdir()).stat().st_mtime_ns
    assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)
    assert max((tmp_path / "checkpoints").iterdir()).stat().st_mtime_ns == newest


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


def test_a_loss_that_is_no_number_ends_the_run_at_its_step(tmp_path):
    images = examples(42, 0)
    model = renewed_model()
    loop.train(
        model, images, images, tmp_path,
        epochs=1, batch_size=8, checkpoint_steps=2, verbose=0, pictures=False,
    )  # fmt: skip
    model.network.get_layer("head_0").bias.assign([np.nan, 0, 0, 0])
    with pytest.raises(checkpoints.NotFiniteError, match="NaN or infinite at step 6$"):
        loop.train(model, images, images, tmp_path, epochs=2, batch_size=8, verbose=0)
    assert int(checkpoints.load_newest(tmp_path / "checkpoints").step.numpy()) == 5


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    """The loss of the step was finite; what the step made of the weights is not."""
    model = new_model()
    model.compile(keras.optimizers.SGD(1e38), metrics=["accuracy"])
    with pytest.raises(checkpoints.NotFiniteError, match="by step 1$|at step [12]$"):
        loop.train(
            model, examples(42, 0), examples(12, 1), tmp_path,
            epochs=1, batch_size=8, checkpoint_steps=1, verbose=0, pictures=False,
        )  # fmt: skip
    for file in (tmp_path / "checkpoints").iterdir():
        weights = checkpoints.load_model(file).get_weights()
        assert all(np.all(np.isfinite(weight)) for weight in weights)
