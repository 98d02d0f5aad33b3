"""Networks with M encoders, a mixing layer, one shared core and M heads.

A network is a functional `keras.Model` without any randomness: the masks are an input.
"""

from mixmo_tf.networks.batch_norm import synchronize_batch_norm
from mixmo_tf.networks.members import build
from mixmo_tf.networks.preact_resnet import preact_resnet18
from mixmo_tf.networks.precision import set_precision
from mixmo_tf.networks.resnet import resnet18, resnet50
from mixmo_tf.networks.wide_resnet import wide_resnet

__all__ = [
    "build",
    "preact_resnet18",
    "resnet18",
    "resnet50",
    "set_precision",
    "synchronize_batch_norm",
    "wide_resnet",
]
