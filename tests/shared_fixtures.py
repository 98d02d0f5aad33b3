"""What tests ask for by name, and two logical CPU devices for those under MirroredStrategy."""

import fcntl
import functools
import gc
import logging
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
import scripts_at_work
import shallow_network
import tensorflow as tf
from keras.src.saving import saving_lib
from tensorflow.python.data.ops import dataset_ops
from tensorflow.python.framework import ops

import mixmo_tf
from mixmo_tf.data import stream

REFERENCE = pathlib.Path(__file__).parent / "reference"


def pytest_configure():
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    tf.config.set_logical_device_configuration(cpu, two)
    # Keras 3.15 keeps the attributes to skip under one name and looks for them under another
    saving_lib.get_attr_skipset = functools.cache(saving_lib.get_attr_skipset)
    dataset_ops.DatasetV2._apply_debug_options = _untuned
    gc.freeze()  # what the libraries have made is not looked through again and again
    gc.set_threshold(200_000, 50, 1_000)  # tracing makes so much; each file ends with a collection


def _untuned(dataset):
    """A tf.data.Dataset as it is when it begins to be read, without TensorFlow's tuning.

    The thread that tunes sleeps for longer and longer, up to a minute; told that its iterator
    ends, it may look too early, sleep again, and be waited for. Here it had nothing to tune.
    """
    return dataset.with_options(stream.without_autotune())


@pytest.fixture(scope="module", autouse=True)
def forget_graphs():
    """Frees the graphs of a file's trainings, else a process would hold gigabytes in the end.

    TensorFlow registers each custom gradient that it traces, such as that of the exchange which
    Keras' optimizers begin with, and with it all of its graph, for good.
    """
    yield
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]
    gc.collect()
    gc.freeze()  # what is left stays to the end: the next file need not look through it again


@pytest.fixture
def reference():
    """Loads an array file of tests/reference by its name."""
    return lambda name: np.load(REFERENCE / f"{name}.npz")


@pytest.fixture
def shallow(monkeypatch):
    """Settings that say preact_resnet18 mean `shallow_network.build`: see `stand_in` there."""
    shallow_network.stand_in(monkeypatch)


@pytest.fixture
def kept_models(shallow, monkeypatch):
    """Commands in this process that train the same share a model: see `keep_models` there."""
    shallow_network.keep_models(monkeypatch)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of the command train on digits, to be read: its folder, its flags, what it said.

    Its network is `shallow_network.build`: who goes on with a copy of it asks for `shallow`.
    Processes that share the tests share what one of them has trained, each has a copy.
    """
    shared, path = _of_all_processes(tmp_path_factory), tmp_path_factory.mktemp("runs") / "digits"
    first = shared / "digits"
    with open(shared / "digits.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "digits.txt").exists():
            (shared / "digits.txt").write_text(_trained(first))
    shutil.copytree(first, path)
    said = (shared / "digits.txt").read_text().replace(str(first), str(path))
    return path, _flags(path), said


def _of_all_processes(tmp_path_factory):
    """A folder that each process of these tests sees."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def _trained(path):
    """What train says, which makes the run `path`."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        shallow_network.stand_in(monkeypatch, draws=True)
        shallow_network.keep_models(monkeypatch)
        code, said = scripts_at_work.ending_of("train", *_flags(path))
    assert code is None, code
    return said


def _flags(path):
    return [*scripts_at_work.DIGITS, f"--output_dir={path}"]


def undo_last_epoch(path):
    """Makes of the finished run what it was after its first epoch of two."""
    for name in ("model.keras", "metrics.json", "checkpoints/step_00000044.keras"):
        (path / name).unlink()


def first_epoch_of(finished, path):
    """A copy of the finished run as it was after its first epoch."""
    shutil.copytree(finished[0], path)
    undo_last_epoch(path)
    return path


@pytest.fixture(scope="session")
def runs(finished, tmp_path_factory):
    """The finished run and changed ones, in a folder: see `evaluations.lay_runs`."""
    import evaluations  # imported here, as below: for some files alone

    folder = tmp_path_factory.mktemp("evaluated")
    evaluations.lay_runs(finished[0], folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The state that a run of `stopped_runs.train` ends with, and its folder."""
    import stopped_runs

    path = tmp_path_factory.mktemp("undisturbed")
    return stopped_runs.train(path), path


@pytest.fixture(scope="session")
def shifted(tmp_path_factory):
    """The folder of what `shifted_images.write` writes."""
    import shifted_images

    path = tmp_path_factory.mktemp("shifted")
    shifted_images.write(path)
    return path


@pytest.fixture
def said(caplog):
    """What the package says, the lines so far."""
    caplog.set_level(logging.INFO, "mixmo_tf")
    return lambda: "\n".join(caplog.messages).splitlines()


@pytest.fixture
def untraced(request):
    """TensorFlow runs its functions as Python: what is asked of a model once is answered sooner."""
    of_datasets = "ignore:Even though the `tf.config.experimental_run_functions_eagerly` option"
    request.node.add_marker(pytest.mark.filterwarnings(of_datasets))
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def forked(monkeypatch):
    """The processes of a suite's runs are forked from one that has imported TensorFlow."""
    import forking

    monkeypatch.setattr("mixmo_tf.experiments.suite_runs.subprocess", forking)


@pytest.fixture
def published():
    """A small MixMo whose weights a checkpoint of the published code can hold."""
    network = mixmo_tf.networks.preact_resnet18(1, 2, 10, (32, 32, 3), filters=4)
    return mixmo_tf.MixMo(network)


@pytest.fixture
def offline(monkeypatch):
    """No host can be reached: a proxy that is not there refuses every connection."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cifar_of_four(monkeypatch):
    """CIFAR-10's corrupted images may have the four classes of `shifted`."""
    import shifted_images

    shifted_images.let_cifar_have_four(monkeypatch)


@pytest.fixture
def quick_weights(monkeypatch):
    """Kernels of zeros: large networks are built to be counted, and drawing takes a while."""
    for name in ("VarianceScaling", "RandomNormal"):
        zeros = lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)  # noqa: E731
        monkeypatch.setattr(getattr(keras.initializers, name), "__call__", zeros)


@pytest.fixture(scope="session")
def pixels_and_labels():
    """40 images of 16×16 whose brightness tells their class, so that training can show."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 40)
    images = random.integers(0, 60, (40, 16, 16, 3)) + 60 * labels[:, None, None, None]
    images = images.astype(np.uint8)
    images.flags.writeable = labels.flags.writeable = False
    return images, labels
