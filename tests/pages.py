"""Answers without a model, kept as an evaluation keeps them, and the page of their report."""

import numpy as np
from html_pages import Page

from mixmo_tf import data, strict_json
from mixmo_tf.experiments import EvaluationSettings, kept_predictions, page


def some_answers(classes=4, members=2, count=60, seed=0):
    """Logits (N, M, C) and labels; most answers are right."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    right = 1.6 * np.eye(classes)[labels][:, None]
    return (random.normal(size=(count, members, classes)) + right).astype(np.float32), labels


def kept(folder, logits, labels, about=None, **more):
    """A predictions.npz as an evaluation keeps it, with what metrics.json says of it, if given."""
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "predictions.npz", member_logits=logits, labels=labels, **more)
    if about:
        (folder / "metrics.json").write_text(strict_json.dumps({"schema": 2, **about}))
    return str(folder)


def read(*folders, load_images=None, **changes):
    """The Evaluations of kept predictions, changed, and their page; without writing it."""
    settings = EvaluationSettings(predictions=folders, report="page")
    evaluations = [each._replace(**changes) for each in kept_predictions.read(settings)]
    return evaluations, Page(page.html(evaluations, settings, load_images))


def load_pixels(size, channels=3, count=60):
    """What loads real Examples: image i is of brightness 4·i."""
    pixels = np.ones((count, *size, channels), np.uint8)
    pixels *= 4 * np.arange(count, dtype=np.uint8)[:, None, None, None]
    info = data.Info("toy", count, (*size, channels), ("a", "b"))
    return lambda images: data.Examples(pixels, np.zeros(count, np.int64), info)
