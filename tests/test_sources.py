import http.server
import io
import re
import tarfile
import threading
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import checksums, resource

from mixmo_tf import data


def test_digits_are_split_the_same_way_every_time():
    images, labels, info = data.load_arrays("digits", "train")
    test_images, test_labels, test_info = data.load_arrays("digits", "test")
    assert (images.shape, images.dtype) == ((1437, 32, 32, 3), np.uint8)
    assert (test_images.shape, test_labels.shape) == ((360, 32, 32, 3), (360,))
    assert (info.num_examples, test_info.num_examples) == (1437, 360)
    assert info.num_classes == 10 and info.class_names[3] == "3"
    assert images.min() == 0 and images.max() == 255
    np.testing.assert_array_equal(images[..., 0], images[..., 2])
    assert list(test_labels[:5]) == [0, 5, 0, 5, 0]  # scans 0, 5, 10, 15, 20
    seen = {image.tobytes() for image in images}
    assert sum(image.tobytes() in seen for image in test_images) == 0


def test_load_gives_a_dataset_of_the_same_examples():
    images, labels, _ = data.load_arrays("digits", "test")
    dataset, info = data.load("digits", "test")
    assert dataset.element_spec[0] == tf.TensorSpec((32, 32, 3), tf.uint8)
    image, label = next(iter(dataset.skip(7)))
    np.testing.assert_array_equal(image, images[7])
    assert label == labels[7] and info.num_examples == 360


@pytest.mark.parametrize("name, num_classes", [("cifar10", 10), ("cifar100", 100)])
def test_cifar_comes_through_tensorflow_datasets(tmp_path, name, num_classes):
    """TFDS' own code runs on records in CIFAR's format, written here."""
    write_cifar(tmp_path, name, num_classes)
    images, labels, info = data.load_arrays(name, "train", tmp_path)
    assert (images.shape, images.dtype) == ((12, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(np.sort(labels), np.sort(np.arange(12) % num_classes))
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)  # images keep their labels
    assert info.num_classes == num_classes and info.image_shape == (32, 32, 3)
    assert data.load_arrays(name, "test", tmp_path)[2].num_examples == 5


ARCHIVES = {
    "cifar10": "cifar-10-binary.tar.gz",
    "cifar100": "cifar-100-binary.tar.gz",
    "tiny_imagenet": "tiny-imagenet-200.zip",
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_data_that_cannot_be_downloaded_is_named(tmp_path, offline, monkeypatch, name):
    """Before TFDS is asked, which would try for minutes; other data was downloaded before."""
    manual_dir = tmp_path / "downloads" / "manual"
    manual_dir.mkdir(parents=True)
    (manual_dir / "cifar-100-python.tar.gz").write_text("the archive for Python, which is another")
    (manual_dir.parent / "other.tar.gz.INFO").write_text('{"urls": ["https://other/other"]}')
    asked = []
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", asked.append)
    with pytest.raises(data.MissingDataError) as error:
        data.load_arrays(name, "train", str(tmp_path))
    assert not asked
    assert re.fullmatch(
        rf"{name} is not in {tmp_path}/{name}/[0-9.]+, and could not be prepared: http\S+: "
        rf".*Connection refused.*; without network access, put {ARCHIVES[name]}, as published, "
        rf"into {manual_dir}",
        str(error.value),
    )


def test_a_proxy_that_reaches_nothing_is_named(tmp_path, offline, monkeypatch):
    class Unavailable(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(503)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        urllib.request.install_opener(None)  # it has looked at the environment before
        with pytest.raises(data.MissingDataError, match="zip: HTTP Error 503.*; without network"):
            data.load_arrays("tiny_imagenet", "train", tmp_path)
        proxy.shutdown()
    urllib.request.install_opener(None)


def test_an_archive_that_is_not_the_published_one_is_named(tmp_path, offline):
    manual_dir = tmp_path / "downloads" / "manual"
    write_cifar_archive(manual_dir / ARCHIVES["cifar10"], "cifar10")
    with pytest.raises(data.MissingDataError, match="has wrong checksum; without network .*, as"):
        data.load_arrays("cifar10", "train", tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_without_network_access(tmp_path, offline, monkeypatch, name):
    """From the place that the message names; only the archive's checksum is made up."""
    builder = tfds.builder(name, data_dir=tmp_path)
    (expected,) = builder.url_infos.values()
    monkeypatch.setattr(checksums, "compute_url_info", lambda path: expected)
    write_cifar_archive(tmp_path / "downloads" / "manual" / ARCHIVES[name], name)
    images, labels, info = data.load_arrays(name, "train", tmp_path)
    assert len(labels) == {"cifar10": 10, "cifar100": 2}[name]
    np.testing.assert_array_equal(images[:, 5, 7, 2], labels)
    assert info.class_names[:2] == ("class 0", "class 1")


def test_cifar_from_an_archive_that_was_downloaded_before(tmp_path, offline):
    """Without network access, where TFDS' own note says that the archive is there."""
    builder = tfds.builder("cifar10", data_dir=tmp_path)
    ((url, expected),) = builder.url_infos.items()
    path = tmp_path / "downloads" / "cifar10" / resource.get_dl_fname(url, expected.checksum)
    write_cifar_archive(path, "cifar10")
    resource.write_info_file(url, path, "cifar10", path.name, expected)
    assert len(data.load_arrays("cifar10", "test", tmp_path)[1]) == 2


def test_validation_images_are_held_out_from_training():
    options = {"validation_examples": 100}
    train, _, info = data.load_arrays("digits", "train", **options)
    held_out, labels, held_out_info = data.load_arrays("digits", "validation", **options)
    assert (info.num_examples, held_out_info.num_examples) == (1337, 100)
    assert min(np.bincount(labels)) >= 9
    everything = {image.tobytes() for image in data.load_arrays("digits", "train")[0]}
    assert {image.tobytes() for image in [*train, *held_out]} == everything
    assert data.load_arrays("digits", "test", **options)[2].num_examples == 360
    assert data.has_test_split("digits")


def test_unknown_names_are_named():
    known = ", ".join(data.NAMES)
    for name in ("mnist", "image_folder:"):
        with pytest.raises(ValueError, match=f"dataset must be one of {known}, got '{name}'"):
            data.load_arrays(name, "train")
    with pytest.raises(ValueError, match="split must be one of train, .*, got 'valid'"):
        data.load_arrays("digits", "valid")
    with pytest.raises(ValueError, match="the split validation needs validation_examples > 0"):
        data.load_arrays("digits", "validation")
    with pytest.raises(
        ValueError,
        match="image_size is for imagenet2012 or image_folder:PATH or tfds:NAME, got 16 for digits",
    ):
        data.load_arrays("digits", "train", image_size=16)


def test_a_dataset_is_a_function_and_a_line(monkeypatch):
    def read(name, split, image_size):
        shape = (2 if split == "test" else 5, image_size, image_size, 3)
        labels = np.arange(shape[0]) % 2
        info = data.Info(name, len(labels), shape[1:], ("a", "b"))
        return data.Examples(np.zeros(shape, np.uint8), labels, info)

    toy = data.Source(read, "a toy", ("image_size",), argument="NAME")
    monkeypatch.setitem(data.SOURCES, "toy:", toy)
    images, labels, info = data.load_arrays("toy:x", "train", image_size=4)
    assert images.shape == (5, 4, 4, 3) and info.name == "toy:x" and labels.tolist()[:2] == [0, 1]
    assert list(data.load_splits("toy:x", image_size=4)) == ["train", "test"]
    assert data.has_test_split("toy:x") and not data.has_validation_split("toy:x")
    assert data.takes_image_size("toy:x") and not data.takes_image_size("toy")
    for name in ("toy", "toy:", "toys:x"):
        with pytest.raises(ValueError, match="dataset must be one of digits, "):
            data.load_arrays(name, "train")


def write_cifar(path, name, num_classes):
    """A tiny dataset on disk, with the features, version and layout of TFDS' own builder."""
    builder = tfds.builder(name, data_dir=path)

    def examples(count):
        labels = np.arange(count) % num_classes
        images = np.tile(labels[:, None, None, None], (1, 32, 32, 3)).astype(np.uint8)
        content = {"image": images, "label": labels, "id": [f"{name}_{i}" for i in range(count)]}
        if name == "cifar100":
            content["coarse_label"] = labels % 20
        return tf.data.Dataset.from_tensor_slices(content)

    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=str(builder.version),
        features=builder.info.features,
        split_datasets={"train": examples(12), "test": examples(5)},
        data_dir=path,
    )


def write_cifar_archive(path, name):
    """An archive in the layout of the published ones: two images per file, of their label."""
    fine = [f"class {i}" for i in range(100 if name == "cifar100" else 10)]
    if name == "cifar10":
        folder, bytes_of_label = "cifar-10-batches-bin", 1
        names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
        texts = {"batches.meta.txt": fine}
    else:
        folder, bytes_of_label, names = "cifar-100-binary", 2, ["train.bin", "test.bin"]
        texts = {"coarse_label_names.txt": fine[:20], "fine_label_names.txt": fine}
    files = {file: "\n".join(lines).encode() for file, lines in texts.items()}
    for i, file in enumerate(names):
        rows = [bytes([label] * (bytes_of_label + 3072)) for label in (i, i + 1)]
        files[file] = b"".join(rows)
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_a_folder_by_its_path_alone_is_told_the_name(tmp_path):
    with pytest.raises(ValueError, match=f"got '{tmp_path}'; image_folder:{tmp_path} is that"):
        data.load_examples(str(tmp_path), "train")
