"""ImageNet's archives in small: written as its publishers pack them, for TFDS to prepare."""

import io
import tarfile

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

CLASSES = "n01440764", "n01443537", "n01484850"
BRIGHTNESS = 40, 120, 200  # of a class's images
PER_CLASS = 4
SIZES = (96, 128), (120, 80), (64, 64), (150, 200)


def jpeg(label, i):
    """A nearly flat image whose brightness tells its class; height and width differ."""
    height, width = SIZES[i]
    noise = np.random.default_rng(10 * label + i).integers(-8, 9, (height, width, 3))
    return tf.io.encode_jpeg((BRIGHTNESS[label] + noise).astype(np.uint8), quality=95).numpy()


def write_archives(data_dir, damage=()):
    """Writes the archives where TFDS looks for them; `damage` cuts images (label, i) short."""
    folder = data_dir / "downloads" / "manual"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as train:
        for label, wnid in enumerate(CLASSES):
            of_class = io.BytesIO()
            with tarfile.open(fileobj=of_class, mode="w") as archive:
                for i in range(PER_CLASS):
                    content = jpeg(label, i)
                    content = content[:400] if (label, i) in damage else content
                    _add(archive, f"{wnid}_{i}.JPEG", content)
            _add(train, f"{wnid}.tar", of_class.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as archive:
        for i in range(5):
            _add(archive, f"ILSVRC2012_val_{i + 1:08d}.JPEG", jpeg(i % 3, i % PER_CLASS))


def prepare(data_dir, file_format="array_record"):
    """What `data.load_examples` does on the first use, in a format of choice."""
    tfds.disable_progress_bar()
    builder = tfds.builder("imagenet2012", data_dir=data_dir, file_format=file_format)
    builder.download_and_prepare()


def _add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
