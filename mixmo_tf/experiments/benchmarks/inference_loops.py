"""What `inference` times: the same network folded, plain, with its members, twice."""

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

import mixmo_tf
from mixmo_tf import deployment
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings
from mixmo_tf.models.predictor import Predictor

_NUM_CLASSES = 100


def inference_models(settings: BenchmarkSettings) -> dict[str, Predictor]:
    """The models by name; all take images 32×32×3."""

    def model(num_members):
        network = mixmo_tf.networks.wide_resnet(
            settings.depth, settings.width, num_members, _NUM_CLASSES
        )
        return mixmo_tf.MixMo(network, mixing="cutmix" if num_members > 1 else None)

    mixmo = model(2)
    return {
        "folded": deployment.fold(mixmo),
        "folded, batch norm fused": deployment.fold(mixmo, fuse_batch_norm=True),
        "plain network": model(1),
        "MixMo, M = 2": mixmo,
        "deep ensemble of 2": mixmo_tf.DeepEnsemble([model(1), model(1)]),
    }


def cost(model: Predictor) -> tuple[int, int]:
    """Operations of a model's graph that compute something, and its parameters."""
    graph = _function(model).get_concrete_function(_pixels(1)).graph
    idle = {"Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp"}
    operations = [o for o in graph.get_operations() if o.type not in idle]
    return len(operations), sum(math.prod(v.shape) for v in model.trainable_variables)


def prediction_loop(
    model: Predictor, num_images: int, num_calls: int, jit_compile: bool
) -> Callable[[], None]:
    """Predicts batches of `num_images`, one after the other."""
    function, images = _function(model, jit_compile), _pixels(num_images)

    def predict():
        for _ in range(num_calls):
            function(images).numpy()

    return predict


def _function(model, jit_compile=False):
    return tf.function(model.call, autograph=False, jit_compile=jit_compile)


def _pixels(num_images):
    random = np.random.default_rng(0)
    return tf.constant(random.integers(0, 256, (num_images, 32, 32, 3)), tf.uint8)
