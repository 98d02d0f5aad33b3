"""How good a model is, and how its members work together."""

from mixmo_tf.evaluation.diversity import RatioError, ratio_error
from mixmo_tf.evaluation.memory_split import encoder_norms, split_score

__all__ = ["RatioError", "encoder_norms", "ratio_error", "split_score"]
