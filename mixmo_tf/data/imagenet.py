"""ImageNet and Tiny ImageNet; the validation images of both are the test images."""

import os

import numpy as np

from mixmo_tf.data import prepared
from mixmo_tf.data.examples import Examples, Info
from mixmo_tf.data.records import Records

IMAGE_SIZE = 224  # pixels, unless another is asked for
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_IN_TFDS = {"train": "train", "test": "validation"}  # the names of the splits


def read(
    name: str, split: str, data_dir: str | os.PathLike | None, image_size: int | None
) -> Records:
    """ImageNet (Russakovsky et al. 2015)."""
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    side = image_size or IMAGE_SIZE
    builder = tfds.builder(name, data_dir=data_dir)
    if builder.is_prepared():  # then what is on disk decides the format
        builder = tfds.builder_from_directory(builder.data_path)
    else:
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
        builder = prepared.prepare(builder, by_hand=True)
    path, in_tfds = builder.data_path, _IN_TFDS[split]
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
    names = tuple(features["label"].names)
    info = Info(name, len(source), (side, side, 3), names, MEAN, STD)
    sizes = [(part.num_examples, int(part.num_bytes)) for part in builder.info.splits.values()]
    version = f"{builder.info.full_name}/{in_tfds} {sizes}"
    return Records(source, features, np.arange(len(source)), info, version, str(path))


def read_tiny(name: str, split: str, data_dir: str | os.PathLike | None) -> Examples:
    """Tiny ImageNet."""
    del name
    from mixmo_tf.data.tiny_imagenet import TinyImagenet  # imported here: it takes seconds

    builder = prepared.prepare(TinyImagenet(data_dir=data_dir))
    words = builder.info.metadata["words"]
    names = tuple(words[wnid] for wnid in builder.info.features["label"].names)
    return prepared.encoded(builder, _IN_TFDS[split], names, "file_name")
