"""Settings of a training run that do not go together, each within its own bounds."""

from typing import Any

from mixmo_tf import data
from mixmo_tf.experiments import fields
from mixmo_tf.networks import applications

MILESTONES = (16, 19)  # unless others are set


def check(settings: Any) -> None:
    """Raises ValueError where a value of a `Settings` does not go with another one."""
    if settings.image_size is not None:
        data.check_image_size(settings.dataset, settings.image_size)
    if settings.pretrained != "none" and not applications.is_backbone(settings.network):
        raise ValueError(
            f"pretrained={settings.pretrained} is for network=backbone:NAME, got {settings.network}"
        )
    if settings.pretrained != "none" and settings.initialize_from:
        raise ValueError("pretrained and initialize_from both give weights; take one of them")
    if settings.mixing == "none" and settings.num_members > 1:
        raise ValueError(f"mixing=none is for num_members=1, got {settings.num_members} members")
    if settings.mixing not in (None, "none") and settings.num_members == 1:
        raise ValueError(f"mixing must be none for num_members=1, got {settings.mixing}")
    if settings.unmixing != "none" and settings.num_members == 1:
        raise ValueError(f"unmixing must be none for num_members=1, got {settings.unmixing}")
    for name in ("label_smoothing", "ema_momentum"):
        if getattr(settings, name) == 1:
            raise ValueError(f"{name} must be in [0, 1), got 1")
    if settings.schedule == "cosine" and settings.milestones not in ((), MILESTONES):
        raise ValueError(
            "milestones are for schedule=steps: with schedule=cosine set --milestones= (none), "
            f"got {fields.text(settings.milestones)}"
        )
