"""What `deployment.fold` makes of a MixMo: a plain network with the same outputs."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import augmentation, class_labels
from mixmo_tf.data.checks import check_mean_and_std
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.networks import parts


@keras.saving.register_keras_serializable(package="mixmo_tf")
class FoldedModel(Predictor):
    """A plain network behind the normalisation: predicts, is evaluated, saved and exported.

    Args:
        network: keras.Model, {"image_0": normalised images (n, H, W, channels)} -> logits
            (n, M, C), with M = 1 unless the heads were kept.
        ensemble: "logits" or "probabilities", what is averaged over the heads.
        mean, std: per channel, of pixels scaled to [0, 1].
        class_names: C strings by label, or None.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        ensemble: str,
        mean: Sequence[float],
        std: Sequence[float],
        class_names: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        parts.check_has_members(network)
        _, num_members, num_classes = network.output.shape
        super().__init__(
            num_members, num_classes, parts.image_shape(network), ensemble, class_names, **kwargs
        )
        self.network = network
        self.mean, self.std = check_mean_and_std(mean, std, self.image_shape[2])

    @property
    def networks(self) -> list[keras.Model]:
        return [self.network]

    def logits_of_some(self, images: tf.Tensor) -> tf.Tensor:
        """Pixels (n, H, W, channels), n >= 1 -> float32 (n, M, C)."""
        images = augmentation.normalise(images, self.mean, self.std)
        return self.network(parts.inputs([images]), training=False)

    def get_config(self) -> dict:
        names = "ensemble", "mean", "std", "class_names"
        config = {name: getattr(self, name) for name in names}
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), **config, "network": network}

    @classmethod
    def from_config(cls, config: dict) -> "FoldedModel":
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        config["class_names"] = class_labels.mended(config.get("class_names"))
        return cls(network, **config)
