"""A run that stops anywhere and is taken up again ends as if it had never stopped."""

import functools
import os
import shutil
import signal
import threading

import keras
import numpy as np
import pytest
import stopped_runs
from stopped_runs import (
    EPOCHS,
    Killed,
    assert_equal_runs,
    at,
    examples,
    kill,
    new_model,
    renewed_model,
)

from mixmo_tf.training import checkpoints, logs, loop, signals

train = functools.partial(stopped_runs.train, checkpoint_steps=4)  # writing takes the most time


def killed_at(monkeypatch, path, hook, moment, model=None):
    """Trains the run until a callback's method is called for the time number `moment`."""
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(logs.TensorBoardLogs, hook, at(moment, kill), raising=False)
        train(path, model)


def test_killed_after_any_step(tmp_path, monkeypatch, undisturbed):
    """One run, again and again: before a checkpoint is there, after an epoch, within, at the end.

    What the newest checkpoint has is what was done before the kill, but after the first step.
    """
    done = 0
    for step in (1, 5, 8, 15):
        model = new_model() if done == 8 else None  # as in another process
        killed_at(monkeypatch, tmp_path, "on_train_batch_end", step - done, model)
        found = checkpoints.files(tmp_path / "checkpoints")
        done = checkpoints.step_of(found[-1]) if found else 0
        assert done == (0 if step == 1 else step)
    assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


def test_classes_weigh_alike_after_a_kill(tmp_path, monkeypatch, undisturbed):
    one, other = tmp_path / "one", tmp_path / "other"
    state = train(one, balanced=True)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_end", at(8, kill))
        train(other, balanced=True)
    assert_equal_runs(train(other, balanced=True), other, state, one)
    assert np.any(state[1] != undisturbed[0][1])


def test_killed_before_or_after_validation(tmp_path, monkeypatch, undisturbed):
    """Of the first epoch, and of the last: a checkpoint is there, its line in history.csv is not.

    One run; each time that it goes on, it begins with the validation in which it was killed.
    """
    history_file = tmp_path / "history.csv"
    for hook, moment, num_lines in (
        ("on_test_begin", 1, 0),  # of epoch 1
        ("on_epoch_end", 1, 0),
        ("on_test_begin", 3, 3),  # of epoch 3: the header and two epochs
        ("on_epoch_end", 1, 3),
    ):
        killed_at(monkeypatch, tmp_path, hook, moment)
        lines = history_file.read_text().splitlines() if history_file.exists() else []
        assert len(lines) == num_lines
    assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


def test_signals_save_and_end_at_once(tmp_path, monkeypatch, undisturbed):
    """SIGTERM in its eighth step; where it has gone on, Ctrl-C in its twelfth."""
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    for number, moment, steps in (
        (signal.SIGTERM, 8, [5, 8]),
        (signal.SIGINT, 4, [10, 12]),  # the newest two
    ):
        with monkeypatch.context() as patch:
            send = at(moment, functools.partial(os.kill, os.getpid(), number))
            patch.setattr(logs.TensorBoardLogs, "on_train_batch_begin", send, raising=False)
            with pytest.raises(signals.Interrupted, match=number.name):
                train(tmp_path, checkpoint_steps=None)
        saved = sorted(f.name for f in (tmp_path / "checkpoints").iterdir())
        assert saved == [f"step_{step:08d}.keras" for step in steps]
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


def test_history_that_is_lost_is_not_made_up(undisturbed, tmp_path):
    shutil.copytree(undisturbed[1], tmp_path / "run")
    file = tmp_path / "run" / "history.csv"
    for content in (b"", b"garbage\n", file.read_bytes().splitlines(keepends=True)[0]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="history.csv lacks some of the 2 epochs"):
            train(tmp_path / "run")
        assert file.read_bytes() == content


def test_a_damaged_checkpoint_pushes_no_good_one_out(tmp_path, monkeypatch, undisturbed):
    killed_at(monkeypatch, tmp_path, "on_train_batch_end", 8)
    (tmp_path / "checkpoints" / "step_00000014.keras").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="00000014.keras is no"):
        killed_at(monkeypatch, tmp_path, "on_train_batch_end", 4)
    names = [file.name for file in checkpoints.files(tmp_path / "checkpoints")]
    assert names == ["step_00000010.keras", "step_00000012.keras", "step_00000014.keras"]
    with pytest.warns(UserWarning, match="step_00000014.keras is not a readable"):
        assert_equal_runs(train(tmp_path), tmp_path, *undisturbed)


def test_a_line_cut_short_in_history_is_written_anew(tmp_path, undisturbed):
    path = shutil.copytree(undisturbed[1], tmp_path / "run")
    file = path / "history.csv"
    file.write_bytes(file.read_bytes()[:-30])
    assert_equal_runs(train(path), path, *undisturbed)


def test_a_finished_run_is_not_trained_again(tmp_path, undisturbed):
    path = shutil.copytree(undisturbed[1], tmp_path / "run")
    newest = max((path / "checkpoints").iterdir()).stat().st_mtime_ns
    assert_equal_runs(train(path), path, *undisturbed)
    assert max((path / "checkpoints").iterdir()).stat().st_mtime_ns == newest


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
    model.compile(keras.optimizers.SGD(1e38), metrics=["accuracy"], run_eagerly=True)
    with pytest.raises(checkpoints.NotFiniteError, match="by step 1$|at step [12]$"):
        loop.train(
            model, examples(42, 0), examples(12, 1), tmp_path,
            epochs=1, batch_size=8, checkpoint_steps=1, verbose=0, pictures=False,
        )  # fmt: skip
    for file in (tmp_path / "checkpoints").iterdir():
        weights = checkpoints.load_model(file).get_weights()
        assert all(np.all(np.isfinite(weight)) for weight in weights)
