"""Two logical CPU devices for the tests under MirroredStrategy, and small models."""

import importlib.util
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
import scripts_at_work
import tensorflow as tf

import mixmo_tf
from mixmo_tf.distribution import strategies

REFERENCE = pathlib.Path(__file__).parent / "reference"
FAST = """
    abstention augmentation bad_input calibration classwise comparison conformal corruptions crops
    diversity doors examples folders image_folder loading masks memory_split metric_checks
    mixing msda networks out_of_distribution pairing parts probability ratios reference report
    schedules scores seeds selective settings stream streaming strict_json tiny_imagenet
    torch_state
""".split()  # the files that `pytest -m fast` runs, in less than two minutes


def pytest_addoption(parser):
    parser.addoption(
        "--kills", type=int, default=1, help="SIGKILLs that the run of test_survival.py gets."
    )


def pytest_configure():
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    tf.config.set_logical_device_configuration(cpu, two)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem.removeprefix("test_") in FAST:
            item.add_marker("fast")
        if item.get_closest_marker("torch") and importlib.util.find_spec("torch") is None:
            item.add_marker(pytest.mark.skip(reason='needs PyTorch: pip install -e ".[torch]"'))


@pytest.fixture
def reference():
    """Loads an array file of tests/reference by its name."""
    return lambda name: np.load(REFERENCE / f"{name}.npz")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of scripts/train.py on digits, small enough for a test."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    flags = [*scripts_at_work.DIGITS, f"--output_dir={path}"]
    return path, flags, scripts_at_work.run("train.py", *flags)


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


@pytest.fixture
def pixels_and_labels():
    """40 images of 16×16 whose brightness tells their class, so that training can show."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 40)
    images = random.integers(0, 60, (40, 16, 16, 3)) + 60 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def two_replicas():
    return strategies.mirrored(["/device:CPU:0", "/device:CPU:1"])


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
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
        return keras.layers.GlobalAveragePooling2D()(x)

    return mixmo_tf.networks.build("tiny", encoder, core, num_members, 4, image_shape, "he_normal")


def tiny_model(
    jit_compile=False, num_members=2, learning_rate=0.05, image_shape=(16, 16, 3), **arguments
):
    """A compiled MixMo on `tiny_network`, the same weights at every call."""
    keras.utils.set_random_seed(0)
    model = mixmo_tf.MixMo(tiny_network(num_members, image_shape), **arguments)
    optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True)
    model.compile(optimizer, metrics=["accuracy"], jit_compile=jit_compile)
    return model
