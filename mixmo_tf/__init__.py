"""MixMo (Ramé, Sun, Cord, ICCV 2021, arXiv 2103.06132) for Keras 3 and TensorFlow.

Where the paper's ideas are:

    ratios, loss weights (sections 3.1, 3.3)    ratios.py
    mixing blocks (section 3.2)                 masks.py, mixing.py
    pairing, batch repetition (section 3.4)     pairing.py
    probability of the binary block             probability.py
    the whole step                              model.py
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
