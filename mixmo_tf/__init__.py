"""MixMo (Ramé, Sun, Cord, ICCV 2021, arXiv 2103.06132) for Keras 3 and TensorFlow.

Where the paper's ideas are:

    κ ~ Dirichlet(α), loss weights w_r(κ)       ratios.py
    mixing blocks 𝓜                             masks.py, mixing.py
    pairing, batch and input repetition         pairing.py
    probability of the binary block, p(t)       probability.py
    forward pass, weighted loss, ensemble       model.py
"""

from mixmo_tf import augmentation, data, masks, networks, pairing, ratios, seeds, training
from mixmo_tf.mixing import MixingLayer
from mixmo_tf.model import MixMo
from mixmo_tf.probability import AnnealedProbability

__version__ = "0.1.0"
__all__ = [
    "AnnealedProbability",
    "MixMo",
    "MixingLayer",
    "augmentation",
    "data",
    "masks",
    "networks",
    "pairing",
    "ratios",
    "seeds",
    "training",
]
