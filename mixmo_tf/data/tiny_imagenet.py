"""Tiny ImageNet (Stanford CS231n) for tensorflow-datasets: 200 classes, images of 64×64.

The archive holds `train/WNID/images/*.JPEG`, `val/images` with `val/val_annotations.txt`,
`test/images` without labels, `wnids.txt` and `words.txt`. It is read as it is, whole or cut
down: what is there is counted, not assumed.
"""

import contextlib
import zipfile
import zlib

import tensorflow as tf
import tensorflow_datasets as tfds

ARCHIVE = "tiny-imagenet-200.zip"
_URL = f"http://cs231n.stanford.edu/{ARCHIVE}"
_CITATION = """@misc{le2015tiny,
  title = {Tiny ImageNet Visual Recognition Challenge},
  author = {Ya Le and Xuan Yang},
  year = {2015},
  note = {Stanford CS 231N}
}"""


class TinyImagenet(tfds.core.GeneratorBasedBuilder):
    """Splits `train`, `validation` and `test` (its labels are -1).

    The images keep their JPEG bytes; those of one channel are decoded to three. Labels count
    the classes in the order of their WordNet ids.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"{ARCHIVE} is downloaded from {_URL}, unless it is in this folder."
    )

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(64, 64, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(),  # the archive names the classes
            "file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="200 classes of ImageNet at 64×64 pixels.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage="https://www.kaggle.com/c/tiny-imagenet",
            citation=_CITATION,
            metadata=tfds.core.MetadataDict(),  # "words": what each WordNet id means
        )

    def _split_generators(self, dl_manager):
        archive = _find_archive(dl_manager)
        with _named_errors(archive), zipfile.ZipFile(archive) as content:
            names = content.namelist()
            root = names[0].split("/")[0] + "/"
            wnids = sorted(content.read(f"{root}wnids.txt").decode().split())
            words = _table(content.read(f"{root}words.txt"))
            of_validation = _table(content.read(f"{root}val/val_annotations.txt"))
        self.info.features["label"].names = wnids
        self.info.metadata["words"] = {wnid: words.get(wnid, wnid) for wnid in wnids}
        splits = {"train": {}, "validation": {}, "test": {}}
        for name in names:
            match name.removeprefix(root).split("/"):
                case ["train", wnid, "images", file] if file:
                    splits["train"][name] = wnid
                case ["val", "images", file] if file:
                    splits["validation"][name] = of_validation.get(file)
                case ["test", "images", file] if file:
                    splits["test"][name] = -1
        return {
            split: self._generate_examples(archive, labels)
            for split, labels in splits.items()
            if labels
        }

    def _generate_examples(self, archive, labels):
        """Yields the images named in `labels`, name -> WordNet id, or -1 without a label."""
        with _named_errors(archive), zipfile.ZipFile(archive) as content:
            for name, label in labels.items():
                image = content.read(name)
                if label != -1 and label not in self.info.features["label"].names:
                    raise ValueError(f"{archive}: {name} is of no class of wnids.txt")
                _check_image(image, f"{archive}: {name}")
                yield name, {"image": image, "label": label, "file_name": name}


def _find_archive(dl_manager):
    """The path of the archive: that in the manual folder, or else the downloaded one."""
    with contextlib.suppress(AssertionError):  # TFDS' way to say that the folder is empty
        archive = dl_manager.manual_dir / ARCHIVE
        if archive.exists():
            return archive
    return dl_manager.download(_URL)


def _table(content):
    """A file of lines `key<tab>value…` as a dict."""
    return dict(line.split("\t")[:2] for line in content.decode().splitlines())


def _check_image(image, name):
    """Raises ValueError unless the JPEG can be decoded and is 64×64."""
    try:
        shape = tuple(tf.io.decode_jpeg(image, channels=3).shape)
    except tf.errors.InvalidArgumentError:
        raise ValueError(f"{name} is not a readable JPEG") from None
    if shape != (64, 64, 3):
        raise ValueError(f"{name} has {shape[0]}×{shape[1]} pixels, not 64×64")


@contextlib.contextmanager
def _named_errors(archive):
    """Names the archive where it cannot be read, or lacks a file."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{archive} cannot be read: {error}") from error
    except KeyError as error:
        raise ValueError(f"{archive} is not as Tiny ImageNet's: {error.args[0]}") from None
