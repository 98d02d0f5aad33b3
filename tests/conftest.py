"""Two logical CPU devices for the tests under MirroredStrategy, and small models."""

import fcntl
import functools
import gc
import importlib.util
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
import scripts_at_work
import shallow_network
import tensorflow as tf
from tensorflow.python.framework import ops

import mixmo_tf
from mixmo_tf.distribution import strategies

REFERENCE = pathlib.Path(__file__).parent / "reference"
BROWSERS = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
BROWSER = next(BROWSERS, None)
FAST = """
    abstention applications augmentation bad_input calibration class_weights classwise colour_tables
    comparison conformal corruptions crops diversity doors erasing examples folders graph hub
    image_folder loading loss masks memory_split metric_checks mixing msda networks notebooks
    out_of_distribution own_blocks page pairing parts pixel_scale probability random_layers ratios
    reference report schedules scores seeds selective settings stream streaming strict_json
    tiny_imagenet torch_state trivial_augment unmixing
""".split()  # the files that `pytest -m fast` runs, in less than two minutes
FIRST = "workers survival reproduce".split()  # files of long tests, which would be waited for


def pytest_addoption(parser):
    parser.addoption(
        "--kills", type=int, default=1, help="SIGKILLs that the run of test_survival.py gets."
    )


def pytest_configure():
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    tf.config.set_logical_device_configuration(cpu, two)
    gc.freeze()  # what the libraries have made is not looked through again and again


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in FIRST)
    for item in items:
        if item.path.stem.removeprefix("test_") in FAST:
            item.add_marker("fast")
        if item.get_closest_marker("torch") and importlib.util.find_spec("torch") is None:
            item.add_marker(pytest.mark.skip(reason='needs PyTorch: pip install -e ".[torch]"'))
        if item.get_closest_marker("docs") and importlib.util.find_spec("myst_nb") is None:
            item.add_marker(pytest.mark.skip(reason='needs Sphinx: pip install -e ".[docs]"'))
        if item.get_closest_marker("browser") and BROWSER is None:
            item.add_marker(pytest.mark.skip(reason="needs Chromium: apt-get install chromium"))


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


def two_replicas():
    return strategies.mirrored(["/device:CPU:0", "/device:CPU:1"])


def assert_same(arrays, others):
    """That there are as many, the same numbers in each, such as weights of models."""
    for ours, theirs in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def assert_same_on_replicas(model):
    """That each variable, of the model and of its optimizer, is the same on all replicas."""
    for variable in [*model.variables, *model.optimizer.variables]:
        first, *others = model.distribute_strategy.experimental_local_results(variable.value)
        assert_same([first] * len(others), others)


def small(name, num_members, num_classes=7, image_shape=(32, 32, 3)):
    """The arguments of the smallest network that is called so in `NETWORKS`."""
    smallest = {"depth": 10, "width": 1, "filters": 4}
    sizes = {size: smallest[size] for size in mixmo_tf.networks.NETWORKS[name].sizes}
    common = {"num_members": num_members, "num_classes": num_classes, "image_shape": image_shape}
    return {**sizes, **common}


def tiny_network(num_members=2, image_shape=(16, 16, 3)):
    """Fewer layers than any real network, so that XLA compiles it in seconds."""

    def encoder(member, image):
        return keras.layers.Conv2D(8, 3, padding="same", name=f"encoder_{member}")(image)

    def core(x):
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))

    return mixmo_tf.networks.build("tiny", encoder, core, num_members, 4, image_shape, "he_normal")


def as_if_trained(model, seed=0):
    """The model, with no weight as it began: so that answers differ, without training."""
    random = np.random.default_rng(seed)
    of_network = model.network.get_weights()
    model.network.set_weights([w + random.normal(0, 0.1, w.shape) for w in of_network])
    return model


def ready_model(**arguments):
    """As `tiny_model`, but one for all tests, which TensorFlow traces once; each finds it as made.

    For tests that do not compile it or set its attributes, in which `fit` does not fail, and that
    compare no bits with those of another model: data of other shapes may have been traced before.
    """
    model, state = _made(**arguments)
    model.set_state(state)
    return model


@functools.cache
def _made(**arguments):
    model = tiny_model(**arguments)
    return model, model.state()


def tiny_model(
    jit_compile=False, num_members=2, learning_rate=0.05, image_shape=(16, 16, 3), **arguments
):
    """A compiled MixMo on `tiny_network`, the same weights at every call."""
    keras.utils.set_random_seed(0)
    model = mixmo_tf.MixMo(tiny_network(num_members, image_shape), **arguments)
    optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True)
    model.compile(optimizer, metrics=["accuracy"], jit_compile=jit_compile)
    return model
