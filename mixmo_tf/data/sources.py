"""Datasets by name: where the images come from, and what is known about them."""

import logging
import os
import sys
import urllib.error
import urllib.request

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import image_folder
from mixmo_tf.data.examples import Examples, Info
from mixmo_tf.data.notices import say_once
from mixmo_tf.data.records import Records
from mixmo_tf.paths import expanded

SPLITS = ("train", "validation", "test")
CIFAR_MEAN, CIFAR_STD = (0.49137, 0.48235, 0.44667), (0.2023, 0.1994, 0.2010)
_LOG = logging.getLogger(__name__)
_PATIENCE = 10  # seconds that a host may take to answer
_NOTE = ".INFO"  # beside what tensorflow-datasets has downloaded
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class MissingDataError(FileNotFoundError):
    """The dataset is not on this machine, and could not be downloaded."""


def load_examples(
    name, split, data_dir=None, validation_examples=0, image_size=None, as_before=False
):
    """Finds a split; a dataset of tensorflow-datasets is downloaded if need be.

    Args:
        name: one of `NAMES`; "image_folder:PATH" with a path.
        split: one of `SPLITS`. "test" are the images that published numbers are for, which
            ImageNet and Tiny ImageNet call validation images; "validation" are training images
            that were held out, or, if none are to be, an image folder's `val/` beside `test/`.
        data_dir: the folder of tensorflow-datasets; None for its default,
            ~/tensorflow_datasets.
        validation_examples: int, training images to hold out; "train" is without them.
        image_size: int, pixels, the height and width that images are brought to: those of
            image folders, see `image_folder.read`, and of ImageNet (224 if None).
        as_before: bool, whether the `val/` of an image folder is for the test and its `test/` for
            nothing, as before 0.2.

    Returns:
        Examples; Records for ImageNet.

    Raises:
        ValueError: if an argument is out of range, or the data is damaged.
        MissingDataError: if a dataset is missing, and cannot be downloaded.
        FileNotFoundError: if an image folder is missing.
    """
    arguments.one_of("split", split, SPLITS)
    _check(name, data_dir, validation_examples, image_size, as_before)
    has_validation = validation_examples or has_validation_split(name, as_before)
    if split == "validation" and not has_validation:
        raise ValueError("the split validation needs validation_examples > 0")
    if split == "test" or not validation_examples:
        return _read(name, split, data_dir, image_size, as_before)
    train = _read(name, "train", data_dir, image_size, as_before)
    train, held_out = train.hold_out(validation_examples)
    return train if split == "train" else held_out


def load_splits(name, data_dir=None, validation_examples=0, image_size=None, as_before=False):
    """`load_examples` of every split that there is, by its name; no image is looked at twice."""
    _check(name, data_dir, validation_examples, image_size, as_before)
    how = data_dir, image_size, as_before
    examples = {"train": _read(name, "train", *how)}
    if validation_examples:
        parts = examples["train"].hold_out(validation_examples)
        examples["train"], examples["validation"] = parts
    elif has_validation_split(name, as_before):
        examples["validation"] = _read(name, "validation", *how)
    if has_test_split(name, as_before):
        examples["test"] = _read(name, "test", *how)
    return examples


def load_arrays(name, split, data_dir=None, **options):
    """`load_examples`, whole in memory.

    Returns:
        images: uint8 (N, height, width, channels).
        labels: int64 (N,).
        info: Info.
    """
    examples = load_examples(name, split, data_dir, **options).in_memory()
    return examples.images, examples.labels, examples.info


def load(name, split, data_dir=None, **options):
    """`load_examples` as a tf.data.Dataset of (uint8 image, int64 label), and its Info.

    The images are decoded as they are needed.
    """
    examples = load_examples(name, split, data_dir, **options)
    return examples.batches(1).unbatch(), examples.info


def has_test_split(name, as_before=False):
    """Whether a dataset has test images apart from its training images."""
    return image_folder.has_test_split(full_name(name), as_before) if is_folder(name) else True


def has_validation_split(name, as_before=False):
    """Whether a dataset has images to validate on, apart from those to train and to test on."""
    return is_folder(name) and image_folder.has_validation_split(full_name(name), as_before)


def full_name(name):
    """The name of a dataset; that of an image folder with its absolute path.

    Raises:
        FileNotFoundError: if the path begins with ~NAME and there is no such home folder.
    """
    if not is_folder(name):
        return name
    path = expanded(name.removeprefix(image_folder.PREFIX))
    return image_folder.PREFIX + os.path.abspath(path)


def is_folder(name):
    """Whether the name is that of an image folder."""
    arguments.text("dataset", name)
    return name.startswith(image_folder.PREFIX) and name != image_folder.PREFIX


def takes_image_size(name):
    """Whether a dataset's images have no size of their own."""
    return is_folder(name) or name == "imagenet2012"


def _check(name, data_dir, validation_examples, image_size, as_before):
    """Raises ValueError where an argument of `load_examples` is out of range."""
    if not is_folder(name):
        arguments.one_of("dataset", name, NAMES)
    arguments.count("validation_examples", validation_examples, 0)
    if image_size is not None:
        arguments.count("image_size", image_size, 1, arguments.LARGEST_SIDE)
        if not takes_image_size(name):
            raise ValueError(
                f"image_size is for an image_folder or imagenet2012, got {image_size} for {name}"
            )
    if data_dir is not None:
        arguments.path("data_dir", data_dir)
    if validation_examples and has_validation_split(name, as_before):
        say_once(f"{name}: its own validation images are not used, as training images are held out")


def _read(name, split, data_dir, image_size, as_before):
    """A split of a dataset as it is, with nothing held out."""
    if is_folder(name):
        return image_folder.read(full_name(name), split, image_size, as_before)
    options = [image_size or 224] if takes_image_size(name) else []
    return _SOURCES[name](name, split, data_dir, *options)


def _digits(name, split, data_dir):
    """scikit-learn's 1,797 scans of handwritten digits, 8×8, enlarged to 32×32 RGB.

    Every fifth scan is a test image: 1,437 for training, 360 for the test.
    """
    del data_dir
    from sklearn.datasets import load_digits  # imported here: only this dataset needs it

    scans = load_digits()
    is_test = np.arange(len(scans.target)) % 5 == 0
    chosen = is_test if split == "test" else ~is_test
    images = tf.image.resize(scans.images[chosen, :, :, None] * (255 / 16), (32, 32))
    images = np.repeat(np.round(images).astype(np.uint8), 3, axis=-1)  # (N, 32, 32, 3)
    labels = scans.target[chosen].astype(np.int64)
    names = tuple(str(digit) for digit in scans.target_names)
    return Examples(images, labels, Info(name, len(labels), (32, 32, 3), names))


def _cifar(name, split, data_dir):
    """CIFAR-10 or CIFAR-100 (Krizhevsky 2009), as tensorflow-datasets keeps them."""
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    builder = _prepared(tfds.builder(name, data_dir=data_dir))
    names = tuple(builder.info.features["label"].names)
    return _encoded(builder, split, names, "id", mean=CIFAR_MEAN, std=CIFAR_STD)


def _tiny_imagenet(name, split, data_dir):
    """Tiny ImageNet; its labelled validation images are the test images."""
    from mixmo_tf.data.tiny_imagenet import TinyImagenet  # imported here: it takes seconds

    builder = _prepared(TinyImagenet(data_dir=data_dir))
    words = builder.info.metadata["words"]
    names = tuple(words[wnid] for wnid in builder.info.features["label"].names)
    return _encoded(builder, {"test": "validation"}.get(split, split), names, "file_name")


def _imagenet2012(name, split, data_dir, image_size):
    """ImageNet (Russakovsky et al. 2015); its validation images are the test images."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=data_dir)
    if builder.is_prepared():  # then what is on disk decides the format
        builder = tfds.builder_from_directory(builder.data_path)
    else:
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
        builder = _prepared(builder, by_hand=True)
    path, in_tfds = builder.data_path, {"test": "validation"}.get(split, split)
    try:
        source = builder.as_data_source(
            in_tfds, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )
    except NotImplementedError:
        raise ValueError(
            f"{path} is in TFRecord files, which cannot be read by index; convert them: tfds "
            f"convert_format --dataset_dir={path.parent} --out_file_format=array_record"
        ) from None
    features = builder.info.features
    info = Info(
        name,
        len(source),
        (image_size, image_size, 3),
        tuple(features["label"].names),
        _IMAGENET_MEAN,
        _IMAGENET_STD,
    )
    sizes = [(part.num_examples, int(part.num_bytes)) for part in builder.info.splits.values()]
    version = f"{builder.info.full_name}/{in_tfds} {sizes}"
    return Records(source, features, np.arange(len(source)), info, version, str(path))


def _prepared(builder, by_hand=False):
    """The builder, its data prepared, and downloaded unless that is done by hand."""
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
        reason = str(error).split("\n")[0].rstrip(":") or type(error).__name__
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


def _encoded(builder, split, class_names, name_feature, **statistics):
    """Examples whose images are still encoded, as tensorflow-datasets stores them."""
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


_SOURCES = {
    "digits": _digits,
    "cifar10": _cifar,
    "cifar100": _cifar,
    "tiny_imagenet": _tiny_imagenet,
    "imagenet2012": _imagenet2012,
}
NAMES = (*_SOURCES, image_folder.PREFIX + "PATH")
