"""What tensorflow-datasets downloads and prepares once, and keeps on disk."""

import logging
import sys
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data.examples import Examples, Info

_LOG = logging.getLogger(__name__)
_PATIENCE = 10  # seconds that a host may take to answer
_NOTE = ".INFO"  # beside what tensorflow-datasets has downloaded


class MissingDataError(FileNotFoundError):
    """The dataset is not on this machine, and could not be downloaded."""


def prepare(builder: Any, by_hand: bool = False) -> Any:
    """Downloads and prepares what is not on this machine; gives the builder.

    `by_hand` says that the archives are put there by hand.

    Raises:
        MissingDataError: if there is no way to the data; the message says how it gets there.
        ValueError: if an archive is damaged.
    """
    import tensorflow_datasets as tfds

    if builder.is_prepared():
        return builder
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    _LOG.info("Preparing %s in %s", builder.name, builder.data_path)
    manual_dir = builder.data_path.parents[1] / "downloads" / "manual"
    try:
        if not by_hand:
            _check_network(builder, manual_dir)
        builder.download_and_prepare()
    except ValueError:
        raise
    except Exception as error:  # whatever the network, the disk and TFDS raise
        reason = arguments.first_line(error).rstrip(":")
        if by_hand:
            how = builder.MANUAL_DOWNLOAD_INSTRUCTIONS.replace("manual_dir", str(manual_dir))
            reason = " ".join([reason, *how.split()])
        else:
            archives = " and ".join(info.filename for info in builder.url_infos.values())
            reason += f"; without network access, put {archives}, as published, into {manual_dir}"
        raise MissingDataError(
            f"{builder.name} is not in {builder.data_path}, and could not be prepared: {reason}"
        ) from error
    return builder


def encoded(
    builder: Any, split: str, class_names: tuple[str, ...], name_feature: str, **statistics: tuple
) -> Examples:
    """Examples whose images are still encoded, as tensorflow-datasets stores them.

    Args:
        builder: tfds.core.DatasetBuilder, prepared.
        split: as the builder calls it.
        name_feature: the feature that names an image.
        **statistics: mean and std, as `Info` has them.

    Raises:
        ValueError: if the files are damaged.
    """
    import tensorflow_datasets as tfds

    encoded = {"image": tfds.decode.SkipDecoding()}
    try:
        data = builder.as_dataset(split=split, decoders=encoded, batch_size=-1)
    except tf.errors.OpError as error:
        raise ValueError(
            f"{builder.data_path} is damaged ({error.message}); remove it, to prepare it again"
        ) from error
    names = np.array([name.decode() for name in data[name_feature].numpy()])
    labels = data["label"].numpy()
    shape = builder.info.features["image"].shape
    info = Info(builder.name, len(labels), shape, class_names, **statistics)

    def decode(image):
        return tf.io.decode_image(image, channels=shape[-1], expand_animations=False)

    return Examples(data["image"].numpy(), labels, info, decode, names, f"{builder.data_path}: ")


def _check_network(builder, manual_dir):
    """Asks once for each archive that is not here; TFDS would try again for minutes.

    Raises:
        OSError: if a host does not answer, or cannot.
    """
    for url, info in builder.url_infos.items():
        downloads = manual_dir.parent
        if (manual_dir / info.filename).exists():
            continue
        if any(_is_downloaded(url, folder) for folder in (downloads, downloads / builder.name)):
            continue
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=_PATIENCE).close()
        except urllib.error.HTTPError as error:  # the host answers; TFDS will say what is wrong
            if error.code >= 500:  # or try for minutes
                raise OSError(f"{url}: {error}") from error
        except OSError as error:
            raise OSError(f"{url}: {getattr(error, 'reason', error)}") from error


def _is_downloaded(url, folder):
    """Whether TFDS has put a file into a folder: it notes the addresses beside each, as JSON."""
    for note in folder.glob(f"*{_NOTE}"):
        if note.with_suffix("").exists() and url in note.read_text(encoding="utf-8"):
            return True
    return False
