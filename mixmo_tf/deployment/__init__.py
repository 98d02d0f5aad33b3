"""A trained model for use without this package, and weights from other code."""

from mixmo_tf.deployment.fold import FoldedModel, fold
from mixmo_tf.deployment.torch_state import load_torch_state, torch_state

__all__ = ["FoldedModel", "fold", "load_torch_state", "torch_state"]
