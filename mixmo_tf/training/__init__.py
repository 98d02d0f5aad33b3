"""What any image classifier's training needs: schedules, replicas, what a run writes."""

from mixmo_tf.training.progress import Progress
from mixmo_tf.training.schedules import WarmupCosine, WarmupMultiStep

__all__ = ["Progress", "WarmupCosine", "WarmupMultiStep"]
