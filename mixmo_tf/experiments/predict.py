"""Image files in, names of classes out: what a trained model, of any format, says of them."""

import dataclasses
import functools
import logging
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tqdm

from mixmo_tf import data, deployment, outputs
from mixmo_tf.data import damage
from mixmo_tf.experiments import images, prediction_files
from mixmo_tf.experiments.command_line import REQUIRED, check_is, setting
from mixmo_tf.experiments.models import OfModels
from mixmo_tf.formats import signature

_log = logging.getLogger(__name__)
