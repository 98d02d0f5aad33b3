"""A trained model for use without this package."""

from mixmo_tf.deployment.fold import FoldedModel, fold

__all__ = ["FoldedModel", "fold"]
