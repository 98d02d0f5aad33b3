"""A small run of `loop.train`, which can be stopped at any moment and goes on."""

import functools
import itertools

import keras
import numpy as np
from small_models import assert_same, tiny_model

from mixmo_tf import AnnealedProbability
from mixmo_tf.data import Examples, Info
from mixmo_tf.training import WarmupMultiStep, checkpoints, loop

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
    assert_same(everything(checkpoints.load_model(path / "best.keras")), best_of(other_path))


@functools.cache
def best_of(path):
    """What best.keras of a run has that stays as it is."""
    return everything(checkpoints.load_model(path / "best.keras"))


def at(moment, action):
    """A callback method that does `action` at its call number `moment`, from 1."""
    calls = itertools.count(1)

    def method(self, *_, **__):
        if next(calls) == moment:
            action()

    return method


def kill():
    raise Killed
