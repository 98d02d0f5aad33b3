"""What a person does with the package: train, evaluate, export, compare; a call for each."""

from mixmo_tf.experiments.evaluate import Evaluation, EvaluationSettings, evaluate
from mixmo_tf.experiments.export import ExportSettings, export
from mixmo_tf.experiments.predict import PredictSettings, predict
from mixmo_tf.experiments.prediction_tables import Answer, Prediction
from mixmo_tf.experiments.run import Run, train
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.experiments.suite import SuiteSettings, reproduce

__all__ = [
    "Answer",
    "Evaluation",
    "EvaluationSettings",
    "ExportSettings",
    "PredictSettings",
    "Prediction",
    "Run",
    "Settings",
    "SuiteSettings",
    "evaluate",
    "export",
    "predict",
    "reproduce",
    "train",
]
