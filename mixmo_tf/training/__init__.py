"""What any image classifier's training needs: schedules, batches, replicas, checkpoints."""

from mixmo_tf.training.schedules import WarmupMultiStep

__all__ = ["WarmupMultiStep"]
