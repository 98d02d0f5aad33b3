"""Small models, the same weights at every call, and whether models are alike."""

import functools

import keras
import numpy as np

import mixmo_tf
from mixmo_tf.distribution import strategies

# Arguments of MixMo for tests of something else: what a step draws is traced, and compiled, in a
# fraction of the time. Ratios that are drawn take the most of it.
FEW_DRAWS = {"mixing": "linear", "alpha": 0.0, "augmentation": "none"}
ONE_MEMBER = {"num_members": 1, "batch_repetitions": 1, "augmentation": "none"}


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
