import dataclasses
import itertools

import imagenet
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from small_models import assert_same

import mixmo_tf
from mixmo_tf import data
from mixmo_tf.data import crops
from mixmo_tf.data.stream import Shares

NUM_TRAIN = len(imagenet.CLASSES) * imagenet.PER_CLASS


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    imagenet.write_archives(path)
    tfds.disable_progress_bar()
    return path


def load(data_dir, split="train", **options):
    return data.load_examples("imagenet2012", split, data_dir, image_size=32, **options)


def take(dataset, count):
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def brightness(images):
    return np.array([image.mean() for image in images])


def test_the_archives_become_records(data_dir):
    train, test = load(data_dir), load(data_dir, "test")
    assert (len(train), len(test)) == (NUM_TRAIN, 5)
    assert train.info.image_shape == (32, 32, 3) and train.info.num_classes == 1000
    assert train.info.class_names[:3] == imagenet.CLASSES
    assert train.info.mean == (0.485, 0.456, 0.406)
    assert train.on_disk and train.num_bytes > 1e300
    assert test.names is None  # an evaluation numbers them
    some = test.take(np.array([3, 1])).in_memory()  # as its report shows them
    np.testing.assert_array_equal(some.images, test.in_memory().images[[3, 1]])
    default = data.load_examples("imagenet2012", "train", data_dir)
    assert default.info.image_shape == (224, 224, 3)


def test_an_epoch_visits_each_image_once_in_random_crops(data_dir):
    epochs = take(load(data_dir).training_batches(6, seed=1), 4)
    for images, labels in epochs:
        assert (images.shape, images.dtype) == ((6, 32, 32, 3), np.uint8)
        expected = np.array(imagenet.BRIGHTNESS)[labels]
        np.testing.assert_allclose(brightness(images), expected, atol=4)  # labels stay
    for first, second in ((0, 1), (2, 3)):
        labels = np.concatenate([epochs[first][1], epochs[second][1]])
        np.testing.assert_array_equal(np.bincount(labels), [imagenet.PER_CLASS] * 3)
    pixels = np.concatenate([images for images, _ in epochs]).reshape(2 * NUM_TRAIN, -1)
    assert len(np.unique(pixels, axis=0)) == 2 * NUM_TRAIN  # no crop comes twice


def test_the_stream_is_a_function_of_seed_and_step(data_dir):
    train = load(data_dir)
    whole = take(train.training_batches(4, seed=1), 6)
    later = take(train.training_batches(4, seed=1, start_step=2), 4)
    other = take(train.training_batches(4, seed=2), 1)
    for batch, same in zip(whole[2:], later, strict=True):
        assert_same(batch, same)
    assert np.any(other[0][0] != whole[0][0])


def test_the_shares_of_two_workers_make_up_the_batches(data_dir):
    train = load(data_dir)
    whole = take(train.training_batches(6, seed=1), 3)
    first = take(train.training_batches(6, 1, shares=Shares(3, 0, 1)), 3)
    others = take(train.training_batches(6, 1, shares=Shares(3, 1, 2)), 6)
    for step, batch in enumerate(whole):
        for i, whole_part in enumerate(batch):
            parts = [first[step][i], others[2 * step][i], others[2 * step + 1][i]]
            np.testing.assert_array_equal(np.concatenate(parts), whole_part)


def test_evaluation_shows_the_middle_of_each_image_in_order(data_dir):
    test = load(data_dir, "test")
    images, labels = zip(*take(test.batches(2), 99), strict=True)
    assert [len(part) for part in labels] == [2, 2, 1]
    images, labels = np.concatenate(images), np.concatenate(labels)
    for image, label, record in zip(images, labels, test.source, strict=True):
        example = test.features.deserialize_example(record)
        assert label == example["label"]
        box = crops.central_box(tf.shape(example["image"]), 0.875).numpy()
        side = round(0.875 * min(example["image"].shape[:2]))
        assert tuple(box[2:]) == (side, side)
        middle = example["image"][box[0] : box[0] + side, box[1] : box[1] + side]
        np.testing.assert_allclose(image, crops.scaled(middle, 32), atol=1)
    read = test.in_memory()
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.labels, labels)
    np.testing.assert_array_equal(test.labels, labels)  # without decoding an image
    shares = [take(test.batches(4, Shares(2, i, 1)), 99) for i in range(2)]
    np.testing.assert_array_equal(
        np.sort(np.concatenate([part for share in shares for _, part in share])), np.sort(labels)
    )
    assert len(shares[0]) == len(shares[1]) == 2


def test_images_are_held_out(data_dir):
    train = load(data_dir, validation_examples=5)
    held_out = load(data_dir, "validation", validation_examples=5)
    assert (len(train), len(held_out), held_out.info.num_examples) == (NUM_TRAIN - 5, 5, 5)
    assert set(train.indices) | set(held_out.indices) == set(range(NUM_TRAIN))
    prints = [part.fingerprint() for part in (train, held_out, load(data_dir, "test"))]
    assert len(set(prints)) == 3
    assert load(data_dir, validation_examples=5).fingerprint() == prints[0]
    with pytest.raises(ValueError, match=r"validation_examples must be in \[1, 11\], got 12"):
        load(data_dir, validation_examples=12)


def test_a_damaged_image_is_named(tmp_path):
    imagenet.write_archives(tmp_path, damage=[(1, 2)])
    train = load(tmp_path)
    with pytest.raises(tf.errors.OpError):
        take(train.training_batches(12, seed=0), 1)
    with pytest.raises(data.DamagedImageError, match=r"cannot read record \d+ of .*damaged") as e:
        train.find_damaged()
    record = train.source[int(str(e.value).split()[3])]
    assert b"n01443537_2.JPEG" in record
    load(tmp_path, "test").find_damaged()


def test_all_damaged_images_are_named_at_once(tmp_path):
    """Two that are cut short, and one that cannot be read, with which others were to be read."""
    imagenet.write_archives(tmp_path, damage=[(1, 2), (2, 0)])
    train = load(tmp_path)
    cut = [i for i in range(NUM_TRAIN) if len(train.source[i]) < 700]
    assert len(cut) == 2
    good = [i for i in range(NUM_TRAIN) if i not in cut]
    kept = np.array([i for i in range(NUM_TRAIN) if i != good[0]])  # without a good one
    some = train.take(kept)
    gone = good[1]

    class Source:
        def __getitem__(self, index):
            if index == gone:
                raise RuntimeError("a checksum is wrong")
            return train.source[index]

    for source, damaged in ((train.source, cut), (Source(), sorted([*cut, gone]))):
        with pytest.raises(data.DamagedImageError) as error:
            dataclasses.replace(some, source=source).find_damaged()
        named = [f"record {i} of {train.location} is damaged" for i in damaged]
        assert str(error.value) == f"cannot read {len(named)} of 11 images: {', '.join(named)}"


def test_good_images_are_not_called_damaged(data_dir):
    train, asked = load(data_dir), []

    class Source:
        def __getitem__(self, index):
            asked.append(index)
            return train.source[index]

    dataclasses.replace(train, source=Source()).find_damaged()
    assert sorted(asked) == list(range(NUM_TRAIN))  # each was looked at


def test_data_that_is_not_there_is_named(tmp_path):
    with pytest.raises(data.MissingDataError, match="should contain two files: ILSVRC2012_img"):
        load(tmp_path)
    imagenet.write_archives(tmp_path)
    validation_archive = tmp_path / "downloads" / "manual" / "ILSVRC2012_img_val.tar"
    content = validation_archive.read_bytes()
    validation_archive.unlink()
    with pytest.raises(data.MissingDataError, match="_val.tar; No such file .*two files: ILSV"):
        load(tmp_path)
    validation_archive.write_bytes(content)
    imagenet.prepare(tmp_path, "tfrecord")
    with pytest.raises(ValueError, match="cannot be read by index; convert them: tfds convert_fo"):
        load(tmp_path)
    with pytest.raises(ValueError, match="image_size must be >= 1, got -1"):
        data.load_examples("imagenet2012", "train", tmp_path, image_size=-1)


def test_resnet50_trains_on_what_tfds_mocks():
    with tfds.testing.mock_data(num_examples=8):
        examples = data.load_examples("imagenet2012", "train", image_size=32)
        assert len(examples) == 8
        keras.utils.set_random_seed(0)
        network = mixmo_tf.networks.resnet50(2, 1000, examples.info.image_shape)
        model = mixmo_tf.MixMo(
            network,
            batch_repetitions=2,
            input_repetition=0.6,
            augmentation="flip",
        )
        optimizer = keras.optimizers.SGD(1e-4, momentum=0.9, nesterov=True)
        model.compile(optimizer, metrics=["accuracy"], run_eagerly=True)  # tracing takes longer
        before = network.get_layer("encoder_1").get_weights()
        history = model.fit(
            examples.training_batches(4, seed=0),
            steps_per_epoch=2,
            validation_data=examples.batches(8),
            verbose=0,
        ).history
        ((images, labels),) = examples.batches(8)
    assert 5 < history["loss"][0] / 2 < 10  # ln 1000 = 6.9 per member
    assert int(model.step.numpy()) == 2
    assert np.any(network.get_layer("encoder_1").get_weights()[0] != before[0])
    together = model.member_logits(images).numpy().mean(axis=1)
    log_probabilities = together - np.log(np.exp(together).sum(axis=1, keepdims=True))
    nll = -log_probabilities[np.arange(8), labels].mean()
    assert history["val_loss"][0] == pytest.approx(nll, rel=1e-4)
