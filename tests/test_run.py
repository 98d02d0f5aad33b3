"""A run is a call: in any thread, again and again, and the process is afterwards as before."""

import concurrent.futures
import csv
import gc
import logging
import os
import pathlib
import random
import signal
import sys
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from scripts_at_work import assert_same_weights
from small_models import FEW_DRAWS

from mixmo_tf import experiments, random_state
from mixmo_tf.distribution import strategies
from mixmo_tf.experiments import process, run_flags, run_lock
from mixmo_tf.training import checkpoints, logs, loop, signals

pytestmark = pytest.mark.usefixtures("shallow")


def small(output_dir, **more):
    return experiments.Settings(
        **{"filters": 2, "epochs": 1, "batch_size": 64, "batch_repetitions": 1, **more},
        output_dir=output_dir,
    )


def test_a_call_is_what_the_script_does(finished, tmp_path, capsys, caplog):
    """In a thread that is not the main one, after a run that failed, and again."""
    path, _, _ = finished
    settings = experiments.Settings.from_flagfile(path / "run.flags", output_dir=tmp_path / "run")
    failed = {"output_dir": tmp_path / "failed", "num_members": 3, **FEW_DRAWS}
    with pytest.raises(checkpoints.NotFiniteError) as error:
        experiments.train(small(**failed, learning_rate=1e30))
    assert str(error.value) == (
        "the loss or a gradient became NaN or infinite at step 2; there is no checkpoint yet; the "
        "same settings lead there again: try a smaller learning_rate, and another output_dir"
    )
    with pytest.raises(ValueError, match=f"remove {failed['output_dir']}: nothing is trained th"):
        experiments.train(small(**failed, learning_rate=0.1))
    done = []
    with caplog.at_level(logging.INFO, "mixmo_tf"):
        thread = threading.Thread(target=lambda: done.append(experiments.train(settings)))
        thread.start()
        thread.join()
    (run,) = done
    assert f"  output          {tmp_path / 'run'}" in caplog.messages
    assert capsys.readouterr().out == ""
    (line,) = [line for line in caplog.messages if line.startswith("Epoch 2 of 2: loss ")]
    with open(path / "history.csv", newline="") as file:
        _, last = csv.DictReader(file)
    measured = [f"{name} {float(last[name]):.4f}" for name in ("val_loss", "val_accuracy")]
    assert line.endswith(", ".join(measured))
    accuracy, nll = (run.metrics[key] for key in ("accuracy", "nll"))
    assert repr(run) == f"Run(path='{run.path}', accuracy={accuracy:.4f}, nll={nll:.4f})"
    assert_same_weights(run.path / "model.keras", path / "model.keras")
    for name in ("history.csv", "metrics.json", "dataset.json"):
        assert (run.path / name).read_bytes() == (path / name).read_bytes()
    theirs, ours = ((folder / "run.flags").read_text().splitlines() for folder in (path, run.path))
    assert [line for line in ours if line not in theirs] == [f"--output_dir={run.path}"]
    assert run.metrics["steps"] == 44 == int(run.model.step.numpy())
    again = experiments.train(settings)
    assert again.metrics == run.metrics
    assert all(map(np.array_equal, again.model.get_weights(), run.model.get_weights()))
    longer = experiments.train(
        experiments.Settings.from_flagfile(
            run.path / "run.flags", epochs=3, milestones=(3,), extend=True
        )
    )
    assert longer.metrics["epochs"] == 3 and int(longer.model.step.numpy()) == 66


def drawn():
    """A number of every source that `keras.utils.set_random_seed` sets."""
    return [
        random.random(),
        np.random.random(),  # noqa: NPY002
        float(tf.random.uniform([])),
        float(keras.random.uniform([])),
        keras.utils.get_random_seed() if hasattr(keras.utils, "get_random_seed") else None,
    ]


def test_random_state_is_put_back():
    keras.utils.set_random_seed(5)
    drawn()
    expected = drawn()
    keras.utils.set_random_seed(5)
    drawn()
    with pytest.raises(KeyError), random_state.seeded(7):
        of_seed = drawn()
        raise KeyError
    assert drawn() == expected != of_seed
    with random_state.seeded(7):
        assert drawn() == of_seed


def test_a_run_stays_in_its_folder_and_its_model_with_who_holds_it(tmp_path, monkeypatch):
    """Whatever the working directory is when its settings are made, and while it trains.

    What TensorFlow keeps of a training, BUILD.md says; it does not keep the model.
    """
    made, called, elsewhere = (tmp_path / name for name in ("made", "called", "elsewhere"))
    for folder in (made, called, elsewhere):
        folder.mkdir()
    monkeypatch.chdir(made)
    settings = small("runs/x", batch_size=512, **FEW_DRAWS)
    monkeypatch.chdir(called)
    fit = loop.train

    def fit_elsewhere(*arguments, **options):
        os.chdir(elsewhere)
        fit(*arguments, **options)

    monkeypatch.setattr(loop, "train", fit_elsewhere)
    run = experiments.train(settings)
    assert run.path == called / "runs/x" and run.metrics["steps"] == 2
    assert not list(made.iterdir()) and not list(elsewhere.iterdir())
    names = {"run.flags", "history.csv", "checkpoints", "tensorboard", "model.keras"}
    assert names <= {file.name for file in run.path.iterdir()}
    assert run_flags.read(run.path)["--output_dir"] == "runs/x"  # as it was said
    threads, model = threading.active_count(), weakref.ref(run.model)
    del run
    gc.collect()
    assert model() is None and threading.active_count() == threads


def test_paths_in_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = experiments.Settings(
        dataset="image_folder:a", data_dir="b", initialize_from="~/c", output_dir="d"
    ).in_place()
    assert settings.dataset == f"image_folder:{tmp_path / 'a'}"
    assert settings.data_dir == str(tmp_path / "b")
    assert settings.initialize_from == str(pathlib.Path.home() / "c")
    remote = experiments.Settings(data_dir="gs://bucket/b")
    assert remote.in_place() == remote


def test_ctrl_c_in_a_call_is_no_error_of_the_run(tmp_path, monkeypatch, untraced):
    """`except Exception` lets it pass, as it lets Ctrl-C anywhere else."""
    settings, passed = small(tmp_path / "run", batch_size=256, checkpoint_steps=1, **FEW_DRAWS), []

    def send(self, batch, logs=None):
        if batch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_begin", send, raising=False)
        with pytest.raises(KeyboardInterrupt) as interrupt:
            try:
                experiments.train(settings)
            except Exception as error:
                passed.append(error)
    assert type(interrupt.value) is experiments.Interrupted is signals.Interrupted
    assert not passed and interrupt.value.by == "SIGINT"
    said = "ended by SIGINT; the same call goes on from the newest checkpoint"
    assert str(interrupt.value) == said
    assert experiments.train(settings).metrics["steps"] == 5


def test_a_folder_in_which_this_process_trains(tmp_path):
    with run_lock.take(tmp_path):
        with pytest.raises(BlockingIOError) as error:
            run_lock.take(tmp_path)
        assert str(error.value) == f"this process is training in {tmp_path} already"
        (tmp_path / "run.lock").write_text("pid 1 on another")
        with pytest.raises(BlockingIOError, match=r"another process .* \(pid 1 on another\)$"):
            run_lock.take(tmp_path)
    run_lock.take(tmp_path).close()


def test_what_is_shown_of_an_evaluation():
    evaluation = experiments.Evaluation(
        files=[pathlib.Path("runs/a"), pathlib.Path("runs/b")],
        ensemble="logits",
        images=None,
        member_logits=np.zeros((4, 2, 3), np.float32),
        labels=np.zeros(4, np.int64),
        metrics={"accuracy": 0.5, "nll": 1.25, "ece": 0.1},
        held_out=None,
        class_names=(),
        image_names=np.arange(4),
        held_out_names=None,
        abstention=[],
    )
    shown = "Evaluation(name='runs/a,runs/b', accuracy=0.5000, nll=1.2500, examples=4)"
    assert repr(evaluation) == shown


@pytest.mark.parametrize("where", ["terminal", "notebook", "file"])
def test_who_sees_a_bar(where, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: where == "terminal", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if where == "notebook":
        monkeypatch.setitem(sys.modules, "ipykernel", None)
    assert process.is_watched() == (where != "file")
    keras.utils.disable_interactive_logging()
    try:
        assert not process.is_watched()
    finally:
        keras.utils.enable_interactive_logging()


def test_all_runs_of_a_process_share_a_strategy():
    assert strategies.choose("mirrored") is strategies.choose("mirrored")


def test_no_call_makes_the_process_deterministic(tmp_path):
    with pytest.raises(ValueError, match=r"enable_op_determinism\(\) at its start"):
        experiments.train(small(tmp_path / "run", deterministic=True))
    assert not (tmp_path / "run").exists()
    tf.config.experimental.enable_op_determinism()
    try:
        process.check_deterministic()
    finally:
        process.config.disable_op_determinism()


def test_two_runs_at_once_are_those_that_each_is_alone(tmp_path):
    """The random state that initial weights come from is the whole process's."""

    def weights(name, seed):
        settings = small(tmp_path / name, seed=seed, batch_size=1024, **FEW_DRAWS)
        run = experiments.train(settings)
        return run.model.get_weights()

    alone = [weights(f"alone_{seed}", seed) for seed in range(2)]
    np.random.seed(3)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        together = list(pool.map(weights, ("together_0", "together_1"), range(2)))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    for theirs, ours in zip(alone, together, strict=True):
        assert all(map(np.array_equal, theirs, ours))
    assert not all(map(np.array_equal, *alone))


@pytest.mark.parametrize(
    "call",
    ["train", "evaluate", "export", "reproduce", "convert_checkpoint", "draw_encoders", "draw_idea",
     "draw_masks"],
)  # fmt: skip
def test_a_call_wants_its_own_settings(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in ({"dataset": "digits"}, "configs/digits.flags", experiments.Settings, None):
        with pytest.raises(ValueError, match=r"^settings must be \w*Settings\(…\), got .*$"):
            getattr(experiments, call)(wrong)
    assert not list(tmp_path.iterdir())
