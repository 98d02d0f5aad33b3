"""A trained model for use without this package, and weights from other code."""

from mixmo_tf.deployment.fold import fold
from mixmo_tf.deployment.loading import load
from mixmo_tf.deployment.torch_checkpoint import load_torch_checkpoint, save_torch_checkpoint
from mixmo_tf.deployment.torch_state import load_torch_state, torch_state
from mixmo_tf.formats.export import export
from mixmo_tf.models.folded import FoldedModel

__all__ = [
    "FoldedModel",
    "export",
    "fold",
    "load",
    "load_torch_checkpoint",
    "load_torch_state",
    "save_torch_checkpoint",
    "torch_state",
]
