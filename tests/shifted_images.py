"""Images of 16×16 that are corrupted, or of something else, and a model to evaluate on them."""

import numpy as np
from evaluations import DOCS, evaluate
from small_models import tiny_model
from test_image_folder import save
from test_tfds_images import greys, store

from mixmo_tf.data import corruptions

CLASSES = ("a", "b", "c", "d")
COUNT = 8  # images of a corrupted set
EXPLAINED = (DOCS / "shift.md").read_text(encoding="utf-8")


def write(path):
    """A folder of images of 16×16, two of corrupted ones, and sets of something else."""
    random = np.random.default_rng(0)
    for split, count in (("train", 1), ("val", 3)):
        for label, name in enumerate(CLASSES):
            for i in range(count):
                pixels = random.integers(0, 60, (16, 16, 3)) + 60 * label
                save(path / "images" / split / name / f"{i}.png", pixels.astype(np.uint8))
    (path / "made").mkdir()
    labels = np.arange(COUNT) % 4
    for name in ("fog", "saturate"):
        pixels = random.integers(0, 60, (5 * COUNT, 16, 16, 3))
        pixels = pixels + 50 * np.tile(labels, 5)[:, None, None, None]
        np.save(path / "made" / f"{name}.npy", pixels.astype(np.uint8))
    np.save(path / "made" / "labels.npy", np.tile(labels, 5))
    for i in range(5):
        noise = random.integers(0, 256, (40, 50, 3)).astype(np.uint8)
        save(path / "noise" / f"{i}.png", noise)
    store(path / "data", "flat", greys(*range(0, 120, 20)), {"test": range(6)})
    store(path / "data", "train_only", greys(9, 99), {"train": [0, 1]})


def saved_model(tmp_path):
    """The file of a tiny model, in a folder of its own."""
    path = tmp_path / "model" / "model.keras"
    path.parent.mkdir()
    tiny_model().save(path)
    return path


def let_cifar_have_four(monkeypatch):
    """CIFAR-10-C's reader takes what it reads for images of these classes."""
    of_four = corruptions.Published(
        "CIFAR-10-C", "CIFAR-10-C", "nowhere", lambda folder: corruptions.of_arrays(folder, CLASSES)
    )
    monkeypatch.setitem(corruptions.PUBLISHED, "cifar10_c", of_four)


def evaluated(shifted, *models, **settings):
    """The one Evaluation, and what is said."""
    defaults = {"dataset": f"image_folder:{shifted / 'images'}", "data_dir": shifted / "data"}
    (found,), said = evaluate(*models, **(defaults | settings))
    return found, said
