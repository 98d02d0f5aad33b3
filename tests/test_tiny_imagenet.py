"""The builder runs whole, on a tiny archive in the layout of the original one."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import data
from mixmo_tf.data.tiny_imagenet import TinyImagenet

WORDS = {"n02": "goldfish, Carassius auratus", "n01": "tench", "n09": "no class of the archive"}
ROOT = "tiny-imagenet-200"


def jpeg(grey, channels=3, size=64):
    return tf.io.encode_jpeg(np.full((size, size, channels), grey, np.uint8)).numpy()


def archive_files():
    """Contents by name: classes n02 and n01, 3 + 2 training, 2 validation and 1 test image."""
    files = {
        "wnids.txt": "n02\nn01\n",
        "words.txt": "".join(f"{wnid}\t{word}\n" for wnid, word in WORDS.items()),
        "train/n02/n02_boxes.txt": "n02_0.JPEG\t0\t0\t63\t63\n",
        "train/n02/images/": "",
        "train/n02/images/n02_0.JPEG": jpeg(20),
        "train/n02/images/n02_1.JPEG": jpeg(21),
        "train/n02/images/n02_2.JPEG": jpeg(22, channels=1),
        "train/n01/n01_boxes.txt": "n01_0.JPEG\t0\t0\t63\t63\n",
        "train/n01/images/n01_0.JPEG": jpeg(10),
        "train/n01/images/n01_1.JPEG": jpeg(11),
        "val/val_annotations.txt": "val_0.JPEG\tn01\t0\t0\t9\t9\nval_1.JPEG\tn02\t0\t0\t9\t9\n",
        "val/images/val_0.JPEG": jpeg(110),
        "val/images/val_1.JPEG": jpeg(120),
        "test/images/test_0.JPEG": jpeg(200),
    }
    return files


def write_archive(data_dir, files):
    """Puts the archive where TFDS looks for files that were downloaded by hand."""
    path = data_dir / "downloads" / "manual" / "tiny-imagenet-200.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{ROOT}/{name}", content)
    return path


def test_the_archive_becomes_a_tfds_dataset(tmp_path):
    write_archive(tmp_path, archive_files())
    images, labels, info = data.load_arrays("tiny_imagenet", "train", tmp_path)
    assert info.image_shape == (64, 64, 3) and info.num_examples == 5
    assert info.class_names == ("tench", "goldfish, Carassius auratus")  # n01 before n02
    greys = {tuple(image[0, 0]): label for image, label in zip(images, labels, strict=True)}
    assert greys == {
        (20, 20, 20): 1, (21, 21, 21): 1, (22, 22, 22): 1, (10, 10, 10): 0, (11, 11, 11): 0,
    }  # fmt: skip
    images, labels, _ = data.load_arrays("tiny_imagenet", "test", tmp_path)  # from its val/
    assert sorted(zip(images[:, 0, 0, 0], labels, strict=True)) == [(110, 0), (120, 1)]


def test_the_builder_alone(tmp_path):
    write_archive(tmp_path, archive_files())
    builder = TinyImagenet(data_dir=tmp_path)
    builder.download_and_prepare()
    assert builder.info.features["label"].names == ["n01", "n02"]
    (example,) = builder.as_dataset("test")
    assert example["label"] == -1 and example["image"].shape == (64, 64, 3)
    assert example["file_name"] == f"{ROOT}/test/images/test_0.JPEG".encode()
    again = TinyImagenet(data_dir=tmp_path)
    assert again.info.features["label"].names == ["n01", "n02"]
    assert again.info.metadata["words"]["n01"] == "tench"


def damage(files, name, content):
    if content is None:
        return {key: value for key, value in files.items() if key != name}
    return {**files, name: content}


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("train/n02/images/n02_1.JPEG", jpeg(1)[:99], "n02_1.JPEG is not a readable JPEG"),
        ("train/n02/images/n02_1.JPEG", jpeg(1, size=32), "n02_1.JPEG has 32×32 pixels, not 64×64"),
        ("train/n07/images/n07_0.JPEG", jpeg(1), "n07_0.JPEG is of no class of wnids.txt"),
        ("val/images/val_9.JPEG", jpeg(1), "val_9.JPEG is of no class of wnids.txt"),
        ("val/val_annotations.txt", None, "no item named 'tiny-imagenet-200/val/val_annotations"),
    ],
    ids=["truncated", "small", "of no class", "without label", "without annotations"],
)
def test_what_is_wrong_in_the_archive_is_named(tmp_path, name, content, message):
    path = write_archive(tmp_path, damage(archive_files(), name, content))
    with pytest.raises(ValueError) as error:
        data.load_arrays("tiny_imagenet", "train", tmp_path)
    assert str(path) in str(error.value) and message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_archive_is_named(tmp_path):
    path = write_archive(tmp_path, archive_files())
    whole = path.read_bytes()
    path.write_bytes(whole[:3000])
    with pytest.raises(ValueError, match=rf"{path} cannot be read: File is not a zip file"):
        data.load_arrays("tiny_imagenet", "train", tmp_path)
    middle = whole.index(jpeg(21)) + 200
    path.write_bytes(whole[:middle] + b"damage" + whole[middle + 6 :])
    with pytest.raises(ValueError, match=rf"{path} cannot be read: Bad CRC-32 for file .*n02_1"):
        data.load_arrays("tiny_imagenet", "train", tmp_path)
    path.write_bytes(whole)  # mended, it is read as if nothing had been
    assert data.load_arrays("tiny_imagenet", "train", tmp_path)[2].num_examples == 5
