"""A run is a call: in any thread, again and again, and the process is afterwards as before."""

import concurrent.futures
import logging
import random
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from scripts_at_work import assert_same_weights

from mixmo_tf import experiments, random_state
from mixmo_tf.distribution import strategies
from mixmo_tf.experiments import process
from mixmo_tf.training import checkpoints


def small(path, **more):
    return experiments.Settings(
        **{"filters": 2, "epochs": 1, "batch_size": 64, "batch_repetitions": 1, **more},
        output_dir=path,
    )


def test_a_call_is_what_the_script_does(finished, tmp_path, capsys, caplog):
    """In a thread that is not the main one, after a run that failed, and again."""
    path, _, _ = finished
    settings = experiments.Settings.from_flagfile(path / "run.flags", output_dir=tmp_path / "run")
    with pytest.raises(checkpoints.NotFiniteError, match="at step 2; there is no checkpoint yet"):
        experiments.train(small(tmp_path / "failed", learning_rate=1e30, num_members=3))
    done = []
    with caplog.at_level(logging.INFO, "mixmo_tf"):
        thread = threading.Thread(target=lambda: done.append(experiments.train(settings)))
        thread.start()
        thread.join()
    (run,) = done
    assert f"  output          {tmp_path / 'run'}" in caplog.messages
    assert "Training preact" not in capsys.readouterr().out
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
        run = experiments.train(small(tmp_path / name, seed=seed, batch_size=512))
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


@pytest.mark.parametrize("call", ["train", "evaluate", "export", "reproduce"])
def test_a_call_wants_its_own_settings(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in ({"dataset": "digits"}, "configs/digits.flags", experiments.Settings, None):
        with pytest.raises(ValueError, match=r"^settings must be \w*Settings\(…\), got .*$"):
            getattr(experiments, call)(wrong)
    assert not list(tmp_path.iterdir())
