"""Datasets by name, and the batches that training takes from them."""

from mixmo_tf.data.sources import NAMES, SPLITS, Info, MissingDataError, load, load_arrays
from mixmo_tf.data.stream import full_batches, training_batches

__all__ = [
    "NAMES",
    "SPLITS",
    "Info",
    "MissingDataError",
    "full_batches",
    "load",
    "load_arrays",
    "training_batches",
]
