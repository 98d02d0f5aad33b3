"""What a person does with the package: train, evaluate, export, compare; a call for each."""

from mixmo_tf.experiments.evaluate import Evaluation, EvaluationSettings, evaluate
from mixmo_tf.experiments.export import ExportSettings, export
from mixmo_tf.experiments.run import Run, train
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.experiments.suite import SuiteSettings, reproduce

__all__ = [
    "Evaluation",
    "EvaluationSettings",
    "ExportSettings",
    "Run",
    "Settings",
    "SuiteSettings",
    "evaluate",
    "export",
    "reproduce",
    "train",
]
