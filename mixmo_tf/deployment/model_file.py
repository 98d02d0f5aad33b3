"""An exported model that is one file, whatever its format."""

import numpy as np

from mixmo_tf import arguments
from mixmo_tf.data.checks import check_pixels
from mixmo_tf.networks.precision import computes_in_float32
from mixmo_tf.paths import expanded


class ModelFile:
    """A file that `MixMo.export` wrote, opened for predictions.

    A subclass has `kind`, and writes `_open`, path -> names of inputs, names of outputs, the
    shape of an image, and the number of classes; and `_run`, one batch -> probabilities.

    Attributes:
        image_shape: (H, W, channels).
        num_classes: int C.

    Args:
        file: its path; ~ is the home folder.

    Raises:
        ImportError: unless the packages that read it are installed.
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, or has another signature.
    """

    kind = "model file"

    def __init__(self, file):
        file = expanded(file)
        if not file.is_file():
            raise FileNotFoundError(f"there is no {self.kind} at {file}")
        try:
            inputs, outputs, shape, num_classes = self._open(str(file))
            shape = tuple(shape)
            for size in (*shape, num_classes):
                if not isinstance(size, (int, np.integer)) or size < 1:
                    raise ValueError(
                        f"it takes images {shape} and gives {num_classes} probabilities: not sizes"
                    )
        except ImportError:
            raise
        except Exception as error:  # each library raises its own
            reason = str(error).split("\n")[0] or type(error).__name__
            raise ValueError(f"{file} is no readable {self.kind}: {reason}") from error
        if list(inputs) != ["images"] or "probabilities" not in outputs:
            raise ValueError(
                f"{file} is not from MixMo.export: it takes {', '.join(inputs)} and gives "
                f"{', '.join(outputs)}"
            )
        self.image_shape = tuple(map(int, shape))
        self.num_classes = int(num_classes)

    def predict(self, images, batch_size=None, verbose=0):
        """The ensemble's probabilities.

        Args:
            images: pixels 0–255 (N, H, W, channels), rounded to uint8; N may be 0.
            batch_size: int, images at a time; 32 if None.
            verbose: as Keras' models take; there is nothing to tell.

        Returns:
            float32 (N, C).

        Raises:
            ValueError: if an argument is wrong; see `data.checks.check_pixels`.
        """
        del verbose
        images = np.asarray(check_pixels(images, self.image_shape))
        if batch_size is not None:
            batch_size = arguments.count("batch_size", batch_size, 1)
        if not len(images):  # which the file itself may not take
            return np.zeros((0, self.num_classes), np.float32)
        if images.dtype != np.uint8:
            images = np.clip(np.round(images), 0, 255).astype(np.uint8)
        size = batch_size or 32
        starts = range(0, len(images), size)
        return np.concatenate([self._run(images[start : start + size]) for start in starts])


def check_precision(kind, model):
    """Raises ValueError unless the model's networks compute in float32."""
    if not all(map(computes_in_float32, model.networks)):
        raise ValueError(
            f"{kind} is for networks that compute in float32; set their precision to float32"
        )
