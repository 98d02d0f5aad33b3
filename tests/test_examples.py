import io
import itertools

import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf.data import DamagedImageError, Examples, Info

INFO = Info("blocks", 12, (8, 8, 3), ("a", "b", "c"))


def in_memory():
    """12 images, each of one grey of its own, four of every class."""
    images = np.tile((np.arange(12) * 20)[:, None, None, None], (1, 8, 8, 3)).astype(np.uint8)
    return Examples(images, np.arange(12) % 3, INFO)


def encoded():
    """The same as PNG files that are decoded when they are needed."""
    pixels = in_memory()
    files = np.array([tf.io.encode_png(image).numpy() for image in pixels.images], object)
    names = np.array([f"{i}.png" for i in range(12)])
    return Examples(files, pixels.labels, INFO, lambda png: tf.io.decode_png(png, 3), names, "in/")


def batches(examples, count=None, **arguments):
    stream = examples.training_batches(5, seed=3, **arguments)
    return [tuple(map(np.array, batch)) for batch in itertools.islice(stream, count)]


def test_decoded_on_the_way_or_before_the_batches_are_the_same():
    for start_step in (0, 3):
        pairs = zip(
            *(batches(e, 5, start_step=start_step) for e in (in_memory(), encoded())), strict=True
        )
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])
            np.testing.assert_array_equal(ours[0][:, 0, 0, 0] // 20 % 3, ours[1])
    assert encoded().training_batches(5, 0).element_spec[0].shape == (5, 8, 8, 3)


def test_evaluation_serves_every_image_once_in_order():
    for examples in (in_memory(), encoded()):
        sizes, seen = [], []
        for images, labels in examples.batches(5):
            sizes.append(len(labels))
            seen += list(images[:, 0, 0, 0].numpy() // 20)
        assert sizes == [5, 5, 2] and seen == list(range(12))
        assert len(examples.batches(5)) == 3  # else Keras warns that the data ran out


def test_reading_into_memory_decodes():
    read = encoded().in_memory()
    assert read.decode is None and read.images.dtype == np.uint8
    np.testing.assert_array_equal(read.images, in_memory().images)
    assert read.num_bytes == encoded().num_bytes == 12 * 8 * 8 * 3 == read.images.nbytes


def test_a_damaged_image_is_named():
    examples = encoded()
    examples.images[7] = examples.images[7][:40]
    with pytest.raises(DamagedImageError, match=r"^cannot read in/7\.png: it is damaged; put"):
        examples.in_memory()
    taken = examples.take(np.array([3, 7]))
    with pytest.raises(DamagedImageError, match=r"cannot read in/7\.png"):
        taken.find_damaged()
    encoded().find_damaged()


def test_a_file_that_is_gone_is_named(tmp_path):
    paths = np.array([str(tmp_path / f"{i}.png") for i in range(12)])
    for path, png in zip(paths, encoded().images, strict=True):
        (tmp_path / path).write_bytes(png)

    def decode(path):
        return tf.io.decode_png(tf.io.read_file(path), 3)

    examples = Examples(paths, in_memory().labels, INFO, decode, paths)
    examples.in_memory()
    (tmp_path / "5.png").unlink()
    with pytest.raises(DamagedImageError, match=rf"cannot read {tmp_path}/5\.png: it is gone"):
        examples.in_memory()


def test_an_image_of_another_size_is_named():
    examples = encoded()
    examples.images[2] = tf.io.encode_png(np.zeros((4, 8, 3), np.uint8)).numpy()
    with pytest.raises(DamagedImageError, match=r"in/2\.png has 4×8 pixels, the first image 8×8"):
        examples.in_memory()


def test_held_out_images_are_of_every_class_and_always_the_same():
    train, held_out = in_memory().hold_out(6)
    assert np.bincount(held_out.labels).tolist() == [2, 2, 2]
    greys = [set(part.images[:, 0, 0, 0]) for part in (train, held_out)]
    assert len(greys[0] | greys[1]) == 12 and not greys[0] & greys[1]
    assert (train.info.num_examples, held_out.info.num_examples) == (6, 6)
    again = encoded().hold_out(6)[1].in_memory()
    np.testing.assert_array_equal(again.images, held_out.images)


def test_what_cannot_be_held_out_is_said():
    for count in (2, 10):
        with pytest.raises(ValueError, match=rf"validation_examples .* in \[3, 9\].* got {count}"):
            in_memory().hold_out(count)
    with pytest.raises(ValueError, match="2 images of every class; c has 1"):
        in_memory().take(np.array([0, 1, 2, 3, 4, 6, 7])).hold_out(3)
    many = in_memory().take(np.repeat([0, 1, 2], [200, 200, 3]))
    with pytest.raises(ValueError, match="=4 leaves no image of c in one .* it has 3 of 403"):
        many.hold_out(4)


def test_the_fingerprint_tells_images_apart():
    def fingerprint(examples, *indices):
        return examples.take(np.array(indices)).fingerprint()

    for examples in (in_memory(), encoded()):
        same = fingerprint(examples, 0, 1, 2)
        assert same == fingerprint(examples, 0, 1, 2)
        others = {fingerprint(examples, *i) for i in ((0, 1), (0, 1, 5), (1, 0, 2), (3, 1, 2))}
        assert len(others) == 4 and same not in others
    assert encoded().in_memory().fingerprint() == encoded().fingerprint()


def test_the_progress_bar_counts_images(monkeypatch):
    shown = io.StringIO()
    shown.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", shown)
    encoded().in_memory()
    assert "Reading blocks: 100%" in shown.getvalue() and "12/12" in shown.getvalue()
