"""Datasets by name, and the batches that training takes from them."""

from mixmo_tf.data.augmix import augmix
from mixmo_tf.data.examples import DamagedImageError, Examples, Info
from mixmo_tf.data.image_files import find_images, image_batches, read_images
from mixmo_tf.data.incomplete import full_batches
from mixmo_tf.data.prepared import MissingDataError
from mixmo_tf.data.records import Records
from mixmo_tf.data.sources import (
    NAMES,
    SOURCES,
    SPLITS,
    Source,
    central_fraction,
    check_image_size,
    check_name,
    full_name,
    has_test_split,
    has_validation_split,
    is_folder,
    load,
    load_arrays,
    load_examples,
    load_splits,
    takes_image_size,
)
from mixmo_tf.data.stream import evaluation_batches, training_batches

__all__ = [
    "NAMES",
    "SOURCES",
    "SPLITS",
    "DamagedImageError",
    "Examples",
    "Info",
    "MissingDataError",
    "Records",
    "Source",
    "augmix",
    "central_fraction",
    "check_image_size",
    "check_name",
    "evaluation_batches",
    "find_images",
    "full_batches",
    "full_name",
    "has_test_split",
    "has_validation_split",
    "image_batches",
    "is_folder",
    "load",
    "load_arrays",
    "load_examples",
    "load_splits",
    "read_images",
    "takes_image_size",
    "training_batches",
]
