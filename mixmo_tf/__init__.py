"""MixMo (Ramé, Sun, Cord, ICCV 2021, arXiv 2103.06132) for Keras 3 and TensorFlow.

Where the paper's ideas are:

    κ ~ Dirichlet(α), loss weights w_r(κ)       ratios.py
    mixing blocks 𝓜                             masks/, mixing.py
    pairing, batch and input repetition         pairing.py
    MSDA inside a member, labels under 𝓜        msda.py
    probability of the binary block, p(t)       probability.py
    unmixing, beyond the paper                  unmixing.py
    all that a step draws                       draws.py
    forward pass, weighted loss                 models/mixmo.py
    ensembling                                  models/predictor.py, models/deep_ensemble.py
    ratio-error, memory split                   evaluation/
    M members at the price of one network       deployment/fold.py
    pictures of all that is measured            plots/
"""

from mixmo_tf import (
    augmentation,
    data,
    deployment,
    evaluation,
    experiments,
    masks,
    msda,
    networks,
    pairing,
    plots,
    ratios,
    seeds,
    training,
)
from mixmo_tf.deployment import load
from mixmo_tf.mixing import MixingLayer
from mixmo_tf.models.deep_ensemble import DeepEnsemble
from mixmo_tf.models.mixmo import MixMo
from mixmo_tf.probability import AnnealedProbability
from mixmo_tf.unmixing import UnmixingFade
from mixmo_tf.version import VERSION

__version__ = VERSION
__all__ = [
    "AnnealedProbability",
    "DeepEnsemble",
    "MixMo",
    "MixingLayer",
    "UnmixingFade",
    "augmentation",
    "data",
    "deployment",
    "evaluation",
    "experiments",
    "load",
    "masks",
    "msda",
    "networks",
    "pairing",
    "plots",
    "ratios",
    "seeds",
    "training",
]
