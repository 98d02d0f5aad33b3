"""Training that ends where the held-out accuracy no longer rises, and as exactly after a kill."""

import functools
import logging
import shutil
import types

import keras
import pytest
from small_models import assert_same, tiny_model
from stopped_runs import Killed, at, everything, examples, kill

from mixmo_tf import experiments
from mixmo_tf.experiments import directory, run_flags, suite_runs
from mixmo_tf.training import checkpoints, early_stopping, history, logs, loop

STEPS, PATIENCE = 5, 2
LEVEL = {"learning_rate": 1e-12, "core_learning_rate_factor": 0.0}  # the accuracy stays as it is


def test_epochs_without_a_better_one_are_counted():
    """An epoch as good as the best is not better, and a better one begins anew."""
    stopping = early_stopping.EarlyStopping(2, best=0.5, waited=0)
    model = types.SimpleNamespace(stop_training=False)
    stopping.set_model(model)
    found = []
    for accuracy in (0.5, 0.6, 0.6, 0.55):
        stopping.on_epoch_end(0, {"val_accuracy": accuracy})
        found.append((stopping.waited, stopping.best, model.stop_training))
    assert found == [(1, 0.5, False), (0, 0.6, False), (1, 0.6, False), (2, 0.6, True)]
    assert early_stopping.EarlyStopping(2, best=0.6, waited=2).has_ended
    assert not early_stopping.EarlyStopping(0, best=0.6, waited=99).has_ended


def test_how_long_a_run_has_waited(tmp_path):
    accuracies = ["0.1", "0.4", "0.3", "0.4"]
    lines = [f"{i},{accuracy}\n" for i, accuracy in enumerate(accuracies)]
    (tmp_path / "history.csv").write_text("epoch,val_accuracy\n" + "".join(lines))
    found = [early_stopping.waited(tmp_path, epochs) for epochs in range(6)]
    assert found == [0, 0, 0, 1, 2, 0]  # the fifth is not validated


@functools.cache
def traced():
    model = tiny_model(num_members=1, batch_repetitions=1, augmentation="none")
    model.compile(
        keras.optimizers.SGD(LEVEL["learning_rate"], momentum=0.9),
        metrics=["accuracy"],
        core_learning_rate_factor=LEVEL["core_learning_rate_factor"],
    )
    return model, model.state()


def train(path, epochs=6, patience=PATIENCE):
    model, state = traced()
    model.set_state(state)
    path.mkdir(exist_ok=True)
    if newest := checkpoints.load_newest(path / "checkpoints"):
        model.set_state(newest.state())
    loop.train(
        model, examples(42, 0), examples(12, 1), path, epochs=epochs, batch_size=8,
        keep_best=True, patience=patience, pictures=False, checkpoint_steps=4,
    )  # fmt: skip
    return everything(model)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed")
    return train(path), path


def test_it_ends_after_its_patience(undisturbed):
    _, path = undisturbed
    assert history.best_epoch(path)[0] == 1 and len(history.read(path)["epoch"]) == 1 + PATIENCE
    newest = checkpoints.files(path / "checkpoints")[-1]
    assert checkpoints.step_of(newest) == (1 + PATIENCE) * STEPS
    assert int(checkpoints.load_model(path / "best.keras").step.numpy()) == STEPS


def test_it_ends_there_after_kills(tmp_path, monkeypatch, undisturbed):
    """In its last epoch, before and after its validation, and when all is done."""
    for hook, moment in (("on_train_batch_end", 13), ("on_test_begin", 1), ("on_epoch_end", 1)):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(logs.TensorBoardLogs, hook, at(moment, kill), raising=False)
            train(tmp_path)
        assert len(history.read(tmp_path)["epoch"]) == PATIENCE  # the last is not validated
    for _ in range(2):
        assert_same(train(tmp_path), undisturbed[0])
        ours, theirs = ((path / "history.csv").read_text() for path in (tmp_path, undisturbed[1]))
        assert ours == theirs


def test_with_more_patience_it_goes_on(tmp_path, undisturbed):
    """As a run that had it from the start."""
    path = shutil.copytree(undisturbed[1], tmp_path / "run")
    state = train(path, epochs=5, patience=0)
    assert len(history.read(path)["epoch"]) == 5
    assert_same(state, train(tmp_path / "other", epochs=5, patience=0))


def settings(path, **more):
    small = {
        "num_members": 1,
        "filters": 2,
        "batch_size": 256,
        "batch_repetitions": 1,
        "validation_examples": 100,
    }
    more = {"epochs": 4, "patience": 1, **LEVEL, **more}
    return experiments.Settings(**small, **more, output_dir=path)


def test_a_run_that_ended_early_is_complete(tmp_path, shallow, untraced, caplog):
    caplog.set_level(logging.INFO, "mixmo_tf")
    path = tmp_path / "run"
    run = experiments.train(settings(path, class_weight="balanced", freeze_epochs=1))
    assert run.metrics["epochs"] == 2 and run.metrics["best"]["epoch"] == 1
    assert run.metrics["stopped_early"] == {"of_epochs": 4, "patience": 1}
    assert run.metrics["steps"] == int(run.model.step.numpy()) == 2 * 5
    assert directory.is_finished(path) and directory.are_metrics(run.metrics)
    said = caplog.text
    assert "  class weights   balanced, in the loss of training" in said
    assert "  early stopping  after 1 epochs without a higher accuracy" in said
    assert "  core            frozen throughout" in said
    assert "  model.keras        ended early, after epoch 2 of 4" in said
    suite_runs.read(path, "done before")
    assert "(done before; ended early, after epoch 2 of 4)" in caplog.text

    before = (path / "metrics.json").stat().st_mtime_ns
    again = settings(path, class_weight="balanced", freeze_epochs=1)
    assert experiments.train(again).metrics == run.metrics
    assert f"{path} holds 2 of 4 epochs and ended early; nothing is left to train." in caplog.text
    assert (path / "metrics.json").stat().st_mtime_ns == before

    same = {"class_weight": "balanced", "freeze_epochs": 1, "extend": True}
    with pytest.raises(ValueError, match="ended early: 1 epochs without .* done, so more epoch"):
        experiments.train(settings(path, **same, epochs=5))
    longer = experiments.train(settings(path, **same, patience=2))
    assert "From here on patience is 2, not 1." in caplog.text
    assert longer.metrics["epochs"] == 3 and longer.metrics["stopped_early"]["patience"] == 2
    assert directory.is_finished(path) and run_flags.extensions(path) == []
    assert "The result will differ from that of a run" not in caplog.text


def test_patience_needs_held_out_images(tmp_path, shallow):
    with pytest.raises(ValueError, match="patience=1 needs held-out images"):
        experiments.train(experiments.Settings(patience=1, output_dir=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def extended(path, lines, **changes):
    """The lines of run.flags after `run_flags.extend` with changes; of a run of 10 steps."""
    defaults = {"--epochs": "20", "--milestones": "16", "--patience": "0"}
    (path / "run.flags").write_text("\n".join(lines) + "\n")
    now = {**defaults, **dict(line.split("=") for line in lines)}
    now |= {f"--{name}": value for name, value in changes.items()}
    flags = [f"{name}={value}" for name, value in now.items()]
    run_flags.extend(path, flags, defaults, 10, 5, waited=1)
    return (path / "run.flags").read_text().splitlines()


def test_what_run_flags_notes_of_another_patience(tmp_path):
    """A shorter one makes another run than from the start; a longer one does not."""
    of_run = ["--epochs=4", "--milestones=16", "--patience=3"]
    shorter = extended(tmp_path, of_run, patience="2")
    assert shorter[0] == "# extended from patience 3 to 2 at step 10"
    assert "--patience=2" in shorter and "--patience=3" not in shorter
    assert run_flags.extensions(tmp_path) == ["extended from patience 3 to 2 at step 10"]
    assert run_flags.epochs(tmp_path) == ("4", "4")
    for patience in ("4", "0"):
        assert extended(tmp_path, of_run, patience=patience)[0] == "--epochs=4"
    before = extended(tmp_path, of_run)
    for lines, changes, message in (
        (["--epochs=2", "--patience=0"], {"patience": "3"}, "all of its 2 epochs, so another pat"),
        (
            ["--epochs=4", "--patience=1"],
            {"milestones": "3"},
            "1 epochs without .* other milestones ",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            extended(tmp_path, lines, **changes)
    assert before == of_run  # without a change nothing is written
