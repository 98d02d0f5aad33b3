"""What a person does with the package: train, evaluate, export, compare; a call for each."""

from mixmo_tf.experiments.settings import Settings

__all__ = ["Settings"]
