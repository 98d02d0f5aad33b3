"""Which images a report shows, and how small."""

import io

import numpy as np
import pytest
from html_pages import content_of
from PIL import Image

from mixmo_tf.experiments.page import gallery


def test_which_images_are_shown():
    confidence = np.array([0.9, 0.8, 0.99, 0.8, 0.5, 0.95])
    is_wrong = np.array([True, True, False, True, True, False])
    assert gallery.most_confidently_wrong(confidence, is_wrong, 3).tolist() == [0, 1, 3]
    assert gallery.most_confidently_wrong(confidence, ~is_wrong, 9).tolist() == [2, 5]
    assert gallery.least_certain(confidence, 4).tolist() == [4, 1, 3, 0]
    # members that agree, that both are unsure, and that contradict each other a little, and more
    logits = np.log([
        [[0.9, 0.1], [0.9, 0.1]], [[0.5, 0.5], [0.5, 0.5]],
        [[0.6, 0.4], [0.4, 0.6]], [[0.99, 0.01], [0.01, 0.99]],
    ])  # fmt: skip
    assert gallery.most_different(logits, 4).tolist() == [3, 2]


@pytest.mark.parametrize("shape, kind", [((8, 8, 1), "PNG"), ((400, 300, 3), "JPEG")])
def test_thumbnails_are_small(shape, kind):
    uri, size, is_small = gallery.thumbnail(np.full(shape, 77, np.uint8))
    image = Image.open(io.BytesIO(content_of(uri)))
    assert image.format == kind and is_small == (kind == "PNG")
    assert max(image.size) <= 192 and max(size) == 96
    assert np.asarray(image).mean() == pytest.approx(77, abs=1)
