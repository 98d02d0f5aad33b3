"""Deep ensembles: networks that were trained apart, used as one (Lakshminarayanan et al. 2017)."""

from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.models.predictor import Predictor


@keras.saving.register_keras_serializable(package="mixmo_tf")
class DeepEnsemble(Predictor):
    """Trained models as one: evaluated, saved and exported like any of them.

    Its members are the models, each with the prediction of its own ensemble; a plain network
    is an ensemble of one.

    Args:
        models: list of two or more MixMo models, for the same images and classes.
        ensemble: "logits" or "probabilities", what is averaged over the models; that of the
            models if None.

    Raises:
        ValueError: if the models differ in images or classes, or, without `ensemble`, in what
            they average; the message says which and how.
    """

    def __init__(self, models: list, *, ensemble: str | None = None, **kwargs: Any):
        if not isinstance(models, (list, tuple)) or len(models) < 2:
            raise ValueError(f"models must be a list of two or more, got {models!r}")
        for model in models:
            if not isinstance(model, Predictor):
                raise ValueError(f"models must be MixMo models, got a {type(model).__name__}")
        networks = [network for model in models for network in model.networks]
        if len(set(map(id, networks))) < len(networks):
            raise ValueError("models must be different, got the same network twice")
        if ensemble is not None:
            arguments.one_of("ensemble", ensemble, ENSEMBLES)
        check_alike(models, ensemble)
        first = models[0]
        super().__init__(
            len(models),
            first.num_classes,
            first.image_shape,
            ensemble or first.ensemble,
            first.class_names,
            **kwargs,
        )
        self.models = list(models)

    def logits_of_some(self, images: tf.Tensor) -> tf.Tensor:
        """Each model's ensemble logits: pixels (n, H, W, channels), n >= 1 -> (n, M, C)."""
        return tf.stack([m.ensemble_logits(m.logits_of_some(images)) for m in self.models], axis=1)

    @property
    def networks(self) -> list[keras.Model]:
        return [network for model in self.models for network in model.networks]

    def load_own_variables(self, store: Any) -> None:
        """Nothing: the models have the weights. Older files hold a step that counted nothing."""

    def get_config(self) -> dict:
        models = [keras.saving.serialize_keras_object(model) for model in self.models]
        return {**super().get_config(), "models": models, "ensemble": self.ensemble}

    @classmethod
    def from_config(cls, config: dict) -> "DeepEnsemble":
        models = [keras.saving.deserialize_keras_object(model) for model in config.pop("models")]
        return cls(models, **config)


def check_alike(models: list, ensemble: str | None = None) -> None:
    """Raises ValueError unless the models take the same images and know the same classes.

    Without `ensemble`, they must average the same too.
    """
    what = ["image_shape", "num_classes", "class_names"]
    for name in what if ensemble else [*what, "ensemble"]:
        _check_same(name, [getattr(model, name) for model in models])


def _check_same(name, values):
    for i, value in enumerate(values):
        if value != values[0]:
            raise ValueError(
                f"the models of an ensemble must have the same {name}: "
                f"model 0 has {_brief(values[0])}, model {i} has {_brief(value)}"
            )


def _brief(value):
    if isinstance(value, tuple) and len(value) > 5:
        return f"{', '.join(map(str, value[:5]))}, … ({len(value)})"
    return value
