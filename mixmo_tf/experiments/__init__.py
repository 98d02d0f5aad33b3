"""What a person does with the package: train, evaluate, export, compare, draw; a call for each."""

from mixmo_tf.experiments.convert import ConvertSettings, convert_checkpoint
from mixmo_tf.experiments.evaluate import evaluate, report
from mixmo_tf.experiments.evaluations import Evaluation, EvaluationSettings
from mixmo_tf.experiments.export import ExportSettings, export
from mixmo_tf.experiments.pictures import (
    EncoderSettings,
    IdeaSettings,
    MaskSettings,
    draw_encoders,
    draw_idea,
    draw_masks,
)
from mixmo_tf.experiments.predict import PredictSettings, predict
from mixmo_tf.experiments.prediction_tables import Answer, Prediction
from mixmo_tf.experiments.run import Run, train
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.experiments.suite import SuiteSettings, reproduce
from mixmo_tf.training.signals import Interrupted

__all__ = [
    "Answer",
    "ConvertSettings",
    "EncoderSettings",
    "Evaluation",
    "EvaluationSettings",
    "ExportSettings",
    "IdeaSettings",
    "Interrupted",
    "MaskSettings",
    "PredictSettings",
    "Prediction",
    "Run",
    "Settings",
    "SuiteSettings",
    "convert_checkpoint",
    "draw_encoders",
    "draw_idea",
    "draw_masks",
    "evaluate",
    "export",
    "predict",
    "report",
    "reproduce",
    "train",
]
