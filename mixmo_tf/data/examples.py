"""Labelled images that can be read in any order: pixels in memory, or files to be decoded.

Whatever the images are, an order of reading is an array of indices. That keeps the training
stream a pure function of (seed, step), and lets it continue anywhere without reading what
came before.
"""

import dataclasses
import hashlib
import math
import multiprocessing.pool
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from mixmo_tf.data import damage, headers, stream
from mixmo_tf.data.damage import DamagedImageError
from mixmo_tf.data.notices import progress_bar

_NAMES_AS = "utf-8", "surrogateescape"  # as Python reads file names of any encoding
_DECODE_BATCH = 100  # images between two moves of the progress bar


@dataclasses.dataclass(frozen=True)
class Info:
    """What training needs to know about a dataset.

    Attributes:
        name: str.
        num_examples: int, examples of the split.
        image_shape: (height, width, channels).
        class_names: tuple of str, by label.
        mean: per channel, of pixels scaled to [0, 1].
        std: per channel, of pixels scaled to [0, 1].
    """

    name: str
    num_examples: int
    image_shape: tuple
    class_names: tuple
    mean: tuple = (0.5, 0.5, 0.5)
    std: tuple = (0.5, 0.5, 0.5)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


@dataclasses.dataclass(frozen=True)
class Examples:
    """The labelled images of a split.

    Attributes:
        images: uint8 (N, height, width, channels); or (N,), what `decode` takes, such as paths.
        labels: int64 (N,).
        info: Info.
        decode: None where `images` are pixels; else a function of one element of `images`, a
            str tensor (), that gives uint8 (height, width, channels).
        names: str (N,), the images' files, apart from `location`; None where there are none.
        location: str, what comes before a name to make it a path.
    """

    images: np.ndarray
    labels: np.ndarray
    info: Info
    decode: Callable | None = None
    names: np.ndarray | None = None
    location: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def on_disk(self) -> bool:
        """Whether the images are decoded as they are needed."""
        return self.decode is not None

    @property
    def num_bytes(self) -> int:
        """Bytes that the decoded images take."""
        return len(self) * math.prod(self.info.image_shape)

    def take(self, indices: np.ndarray) -> "Examples":
        """The examples at `indices`, an int array (n,)."""
        return dataclasses.replace(
            self,
            images=self.images[indices],
            labels=self.labels[indices],
            info=dataclasses.replace(self.info, num_examples=len(indices)),
            names=None if self.names is None else self.names[indices],
        )

    def changed(self, decode: Callable, image_shape: Sequence[int | None]) -> "Examples":
        """The same examples, decoded by another function, to images of a shape, which is known."""
        info = dataclasses.replace(self.info, image_shape=tuple(image_shape))
        return dataclasses.replace(self, decode=decode, info=info)

    def fingerprint(self) -> str:
        """A hash, str, of the labels, and of the names, or else of the pixels."""
        content = self.images if self.names is None else "\n".join(self.names).encode(*_NAMES_AS)
        return hashlib.sha256(self.labels.tobytes() + bytes(content)).hexdigest()

    def training_batches(
        self, batch_size: int, seed: int, start_step: int = 0, shares: stream.Shares = stream.WHOLE
    ) -> tf.data.Dataset:
        """`stream.training_batches` of these examples; epochs begin at step 0."""
        arrays, decode = (self.images, self.labels), self._decode_row()
        return stream.training_batches(
            arrays, batch_size, seed, start_step, decode=decode, shares=shares
        )

    def batches(self, batch_size: int, shares: stream.Shares = stream.WHOLE) -> tf.data.Dataset:
        """`stream.evaluation_batches` of these examples, (images, labels) in order."""
        arrays, decode = (self.images, self.labels), self._decode_row()
        return stream.evaluation_batches(arrays, batch_size, decode=decode, shares=shares)

    def in_memory(self) -> "Examples":
        """The same examples with all images decoded; a progress bar shows how far it is.

        Raises:
            DamagedImageError: if an image cannot be decoded.
        """
        if self.decode is None:
            return self
        images = np.empty((len(self), *self.info.image_shape), np.uint8)
        batches = self.batches(_DECODE_BATCH).as_numpy_iterator()
        what = f"Reading {self.info.name}"
        with tqdm(total=len(self), desc=what, unit=" images", disable=None) as progress:
            for start in range(0, len(self), _DECODE_BATCH):
                try:
                    batch, _ = next(batches)
                except tf.errors.OpError:
                    self.find_damaged(start)
                    raise
                images[start : start + len(batch)] = batch
                progress.update(len(batch))
        return dataclasses.replace(self, images=images, decode=None)

    def find_damaged(self, start: int = 0) -> None:
        """Decodes the images from index `start` on, on all cores, and names those damaged.

        Raises:
            DamagedImageError: if there are any; or where no image before them is of another
                size than the first, if one is.
        """
        indices = range(start, len(self) if self.decode else 0)
        problems = []
        with multiprocessing.pool.ThreadPool(os.cpu_count()) as pool:
            outcomes = pool.imap(self._shape_or_problem, indices)
            outcomes = progress_bar("Looking for damaged images", len(indices), outcomes)
            for i, outcome in zip(indices, outcomes, strict=True):
                if isinstance(outcome, str):
                    problems.append((self.names[i], outcome))
                elif self.info.image_shape not in (None, outcome) and not problems:
                    sizes = [f"{h}×{w}" for h, w, _ in (outcome, self.info.image_shape)]
                    raise DamagedImageError(
                        f"{self._path(i)} has {sizes[0]} pixels, the first image {sizes[1]}; "
                        "an image_size would bring all to one size"
                    )
        damage.check(problems, len(self), self.location)

    def hold_out(self, count: int) -> tuple["Examples", "Examples"]:
        """Splits off `count` images for validation, the same share of every class.

        The choice depends on the labels and `count` only: every run on a dataset holds out the
        same images.

        Returns:
            Examples that are left for training, and those held out.

        Raises:
            ValueError: unless both parts have an image of every class.
        """
        from sklearn.model_selection import train_test_split  # imported here: it takes a second

        num_classes = self.info.num_classes
        per_class = np.bincount(self.labels, minlength=num_classes)
        if per_class.min() < 2:
            raise ValueError(
                "validation_examples needs 2 images of every class; "
                f"{self.info.class_names[per_class.argmin()]} has {per_class.min()}"
            )
        most = len(self) - num_classes
        if not num_classes <= count <= most:
            raise ValueError(
                f"validation_examples must be 0 or in [{num_classes}, {most}], so that both parts "
                f"have every class, got {count}"
            )
        train, held_out = train_test_split(
            np.arange(len(self)), test_size=count, random_state=0, stratify=self.labels
        )
        for part in (train, held_out):
            of_class = np.bincount(self.labels[part], minlength=num_classes)
            if of_class.min() == 0:
                name = self.info.class_names[of_class.argmin()]
                raise ValueError(
                    f"validation_examples={count} leaves no image of {name} in one of the parts, "
                    f"as it has {per_class[of_class.argmin()]} of {len(self)}"
                )
        return self.take(np.sort(train)), self.take(np.sort(held_out))

    def _shape_or_problem(self, index):
        """The shape of an image; if it cannot be decoded, a str that says what the file is."""
        path = self._path(index)
        if os.path.exists(path) and not os.path.isfile(path):
            return headers.problem(path) or "no file"  # a pipe would be waited for
        try:
            return tuple(self.decode(tf.constant(self.images[index])).shape)
        except (tf.errors.OpError, ValueError) as error:  # Pillow's, where TensorFlow is eager
            if os.path.lexists(path):
                return headers.problem(path) or "damaged"
            return "gone" if isinstance(error, tf.errors.NotFoundError) else "damaged"

    def _path(self, index):
        return f"{self.location}{self.names[index]}"

    def _decode_row(self):
        def decode(image, label):
            return tf.ensure_shape(self.decode(image), self.info.image_shape), label

        return decode if self.on_disk else None
