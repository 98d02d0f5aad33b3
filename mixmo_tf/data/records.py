"""Labelled JPEGs of any size in tensorflow-datasets' files: too many to be kept in memory.

The files are read by index (ArrayRecord), so the order of training is a pure function of
(seed, step), as it is for `Examples`, which has the same methods.
"""

import dataclasses
import functools
import hashlib
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import crops, damage, stream
from mixmo_tf.data.examples import Examples, Info
from mixmo_tf.data.notices import progress_bar

_READ_BATCH = 100


@dataclasses.dataclass(frozen=True)
class Records:
    """The labelled images of a split.

    Attributes:
        source: the serialized examples by index, bytes.
        features: tfds.features.FeaturesDict of `image`, `label` and `file_name`.
        indices: int64 (N,), the examples of `source` that belong to the split.
        info: Info; of the shape that images are brought to.
        version: str, which data this is.
        location: str, where the data is, for messages.
    """

    source: Sequence
    features: Any
    indices: np.ndarray
    info: Info
    version: str
    location: str

    on_disk = True
    num_bytes = math.inf  # every epoch has other crops: no memory holds them all
    names = None  # as `Examples` have them: the records are numbered

    def __len__(self) -> int:
        return len(self.indices)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """int64 (N,), in order; all records are read for them, once."""
        cores = os.cpu_count()
        records = tf.data.Dataset.from_tensor_slices(self.indices).batch(_READ_BATCH)
        read = stream.as_it_is(lambda some: self._read(some)[0])
        parse = stream.as_it_is(lambda record: self._parse(record)[1])
        records = records.map(read, num_parallel_calls=cores).unbatch()
        labels = records.map(parse, num_parallel_calls=cores).batch(_READ_BATCH)
        parts = []
        with progress_bar("Reading labels", len(self)) as progress:
            for some in labels.with_options(stream.without_autotune()).as_numpy_iterator():
                parts.append(some)
                progress.update(len(some))
        return np.concatenate(parts).astype(np.int64)

    def take(self, indices: np.ndarray) -> "Records":
        """The examples at `indices`, an int array (n,)."""
        return dataclasses.replace(
            self,
            indices=self.indices[indices],
            info=dataclasses.replace(self.info, num_examples=len(indices)),
        )

    def fingerprint(self) -> str:
        """A hash, str, of the data's version and the indices."""
        return hashlib.sha256(self.version.encode() + self.indices.tobytes()).hexdigest()

    def training_batches(
        self, batch_size: int, seed: int, start_step: int = 0, shares: stream.Shares = stream.WHOLE
    ) -> tf.data.Dataset:
        """`stream.training_batches` of random crops, drawn anew in each epoch."""
        return stream.training_batches(
            (self.indices,),
            batch_size,
            seed,
            start_step,
            read=self._read,
            decode=stream.as_it_is(self._random_crop),
            row_seeds=True,
            shares=shares,
        )

    def batches(self, batch_size: int, shares: stream.Shares = stream.WHOLE) -> tf.data.Dataset:
        """`stream.evaluation_batches` of central crops, (images, labels) in order."""
        return stream.evaluation_batches(
            (self.indices,),
            batch_size,
            read=self._read,
            decode=stream.as_it_is(self._central_crop),
            shares=shares,
        )

    def in_memory(self) -> Examples:
        """Examples of all central crops."""
        images, labels = zip(*self.batches(_READ_BATCH).as_numpy_iterator(), strict=True)
        return Examples(np.concatenate(images), np.concatenate(labels), self.info)

    def find_damaged(self) -> None:
        """Decodes all images whole, on all cores, and names those damaged.

        Raises:
            DamagedImageError: if there are any.
        """
        indices = tf.constant(self.indices)

        @stream.as_it_is
        def read(positions):
            return self._read(tf.gather(indices, positions), positions)

        cores = os.cpu_count()
        positions = tf.data.Dataset.range(len(self)).batch(_READ_BATCH)
        records = positions.map(read, num_parallel_calls=cores).ignore_errors().unbatch()
        decoded = records.map(stream.as_it_is(self._decode), num_parallel_calls=cores)
        decoded = decoded.with_options(stream.without_autotune())
        is_good = np.zeros(len(self), bool)
        good = decoded.ignore_errors().as_numpy_iterator()
        for i, _ in progress_bar("Looking for damaged images", len(self), good):
            is_good[i] = True
        damaged = [i for i in self.indices[~is_good] if self._is_damaged(i)]
        problems = [(f"record {i} of {self.location}", "damaged") for i in damaged]
        damage.check(problems, len(self), advice="prepare the data again")

    def hold_out(self, count: int) -> tuple["Records", "Records"]:
        """Splits off `count` images for validation, by a choice that depends on N and `count` only.

        Returns:
            Records that are left for training, and those held out.

        Raises:
            ValueError: unless both parts have an image.
        """
        arguments.within("validation_examples", count, 1, len(self) - 1)
        shuffled = np.random.default_rng(0).permutation(len(self))
        return self.take(np.sort(shuffled[count:])), self.take(np.sort(shuffled[:count]))

    def _read(self, indices, *seeds):
        """The records at `indices` (n,), str (n,)."""

        def read(indices):
            return np.array([self.source[int(i)] for i in indices], object)

        records = tf.numpy_function(read, [indices], tf.string, stateful=False)
        return tf.ensure_shape(records, indices.shape), *seeds

    def _random_crop(self, record, seed):
        content, label = self._parse(record)
        return self._crop(content, crops.random_box(tf.io.extract_jpeg_shape(content), seed)), label

    def _central_crop(self, record):
        content, label = self._parse(record)
        box = crops.central_box(tf.io.extract_jpeg_shape(content), crops.CENTRAL_FRACTION)
        return self._crop(content, box), label

    def _crop(self, content, box):
        return crops.decode_jpeg(content, box, self.info.image_shape[0])

    def _decode(self, record, position=()):
        """`position`, and the shape of an image, decoded whole."""
        return position, tf.shape(tf.io.decode_jpeg(self._parse(record)[0], channels=3))

    def _is_damaged(self, index):
        """Whether a record is; others that were read together with it may have been."""
        try:
            self._decode(tf.constant(self.source[int(index)]))
        except (tf.errors.OpError, OSError, ValueError, RuntimeError):
            return True
        return False

    def _parse(self, record):
        """The encoded image, str (), and the label, int64 ()."""
        import tensorflow_datasets as tfds  # imported here: it takes seconds

        encoded = {"image": tfds.decode.SkipDecoding()}
        example = self.features.deserialize_example(record, decoders=encoded)
        return example["image"], example["label"]
