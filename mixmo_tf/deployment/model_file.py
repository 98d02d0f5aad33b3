"""An exported model that is one file, whatever its format."""

import pathlib

import numpy as np

from mixmo_tf.networks.precision import computes_in_float32


class ModelFile:
    """A file that `MixMo.export` wrote, opened for predictions.

    A subclass has `kind`, and writes `_open`, path -> names of inputs and of outputs, and
    `_run`, one batch -> probabilities.

    Args:
        file: its path; ~ is the home folder.

    Raises:
        ImportError: unless the packages that read it are installed.
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, or has another signature.
    """

    kind = "model file"

    def __init__(self, file):
        file = pathlib.Path(file).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f"there is no {self.kind} at {file}")
        try:
            inputs, outputs = self._open(str(file))
        except ImportError:
            raise
        except Exception as error:  # each library raises its own
            reason = str(error).split("\n")[0] or type(error).__name__
            raise ValueError(f"{file} is no readable {self.kind}: {reason}") from error
        if list(inputs) != ["images"] or "probabilities" not in outputs:
            raise ValueError(f"{file} is not from MixMo.export: it takes {', '.join(inputs)}")

    def predict(self, images, batch_size=32):
        """The ensemble's probabilities: uint8 (N, H, W, channels) -> float32 (N, C)."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or not len(images):
            raise ValueError(
                f"images must be uint8, one or more, got {images.dtype} {images.shape}"
            )
        starts = range(0, len(images), batch_size)
        return np.concatenate([self._run(images[i : i + batch_size]) for i in starts])


def new_file(path):
    """The path of a file that is written.

    Raises:
        FileExistsError: if there is one.
        FileNotFoundError: if there is no folder for it.
    """
    path = pathlib.Path(path).expanduser()
    if path.exists():
        raise FileExistsError(f"{path} exists; choose another file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}")
    return path


def check_precision(kind, model):
    """Raises ValueError unless the model's networks compute in float32."""
    if not all(map(computes_in_float32, model.networks)):
        raise ValueError(
            f"{kind} is for networks that compute in float32; set their precision to float32"
        )
