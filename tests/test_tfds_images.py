"""Any dataset of tensorflow-datasets by its name, and images brought to a network's size."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from mixmo_tf import data, experiments
from mixmo_tf.data import fitting, tfds_images


def store(
    data_dir, name, images, splits, num_classes=3, shape=(8, 8, 1), version="1.0.0", **features
):
    """Writes a dataset as tensorflow-datasets keeps it; `splits` are rows of `images` by name.

    Labels count the classes over and over.
    """

    def rows(indices):
        for i in indices:
            yield {"image": images[i], "label": i % num_classes, **dict.fromkeys(features, i)}

    description = {
        "image": tfds.features.Image(shape=shape),
        "label": tfds.features.ClassLabel(names=[f"class {i}" for i in range(num_classes)]),
        **features,
    }
    signature = {
        "image": tf.TensorSpec((None, None, shape[2]), tf.uint8),
        **{key: tf.TensorSpec((), tf.int64) for key in description if key != "image"},
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=version,
        features=tfds.features.FeaturesDict(description),
        split_datasets={
            split: tf.data.Dataset.from_generator(
                lambda indices=indices: rows(indices), output_signature=signature
            )
            for split, indices in splits.items()
        },
        data_dir=data_dir,
        disable_shuffling=True,
    )


def greys(*values, size=(8, 8), channels=1):
    return [np.full((*size, channels), value, np.uint8) for value in values]


@pytest.fixture
def mine(tmp_path):
    """A dataset of grey images of one size with all three splits."""
    splits = {"train": range(6), "validation": range(6, 8), "test": [8, 9, 10]}
    images = greys(*range(0, 110, 10))
    store(tmp_path, "mine", images, splits, number=np.int64)
    return tmp_path


def test_size_channels_and_classes_are_its_own(mine):
    images, labels, info = data.load_arrays("tfds:mine", "train", mine)
    assert (images.shape, images.dtype, labels.dtype) == ((6, 8, 8, 1), np.uint8, np.int64)
    assert images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert info.class_names == ("class 0", "class 1", "class 2") and info.mean == (0.5,)
    splits = data.load_splits("tfds:mine", mine)
    assert {split: len(part) for split, part in splits.items()} == {
        "train": 6, "validation": 2, "test": 3,
    }  # fmt: skip
    again = data.load_examples("tfds:mine", "train", mine).fingerprint()
    assert splits["train"].fingerprint() == again != splits["test"].fingerprint()
    assert data.load_arrays("tfds:mine:1.0.0", "test", mine)[0][0, 0, 0, 0] == 80


def test_splits_that_are_not_there(tmp_path):
    store(tmp_path, "two", greys(1, 2, 3), {"train": [0, 1], "validation": [2]})
    store(tmp_path, "one", greys(1, 2, 3), {"train": [0, 1, 2]})
    assert data.load_arrays("tfds:two", "test", tmp_path)[0][0, 0, 0, 0] == 3
    assert data.has_test_split("tfds:two", data_dir=tmp_path)
    assert not data.has_validation_split("tfds:two", data_dir=tmp_path)
    assert list(data.load_splits("tfds:one", tmp_path)) == ["train"]
    with pytest.raises(ValueError, match="tfds:one has no test images; its splits are: train"):
        data.load_examples("tfds:one", "test", tmp_path)


def test_images_of_many_sizes_need_one(tmp_path):
    images = [*greys(10, size=(6, 10), channels=3), *greys(20, size=(12, 9), channels=3)]
    images[0][:, :2] = images[0][:, -2:] = 255  # beside the central square
    store(tmp_path, "many", images, {"train": [0, 1], "test": [0]}, 2, (None, None, 3))
    with pytest.raises(ValueError, match="tfds:many has images of many sizes: set image_size"):
        data.load_examples("tfds:many", "train", tmp_path)
    images, _, info = data.load_arrays("tfds:many", "train", tmp_path, image_size=4)
    assert info.image_shape == (4, 4, 3) and images[:, 0, 0].tolist() == [[10] * 3, [20] * 3]
    assert images.min() == 10 and images.max() == 20


def test_a_run_on_grey_images_has_one_channel(mine, tmp_path):
    settings = experiments.Settings(
        dataset="tfds:mine", data_dir=mine, output_dir=tmp_path / "run", filters=4, epochs=1,
        batch_size=2, batch_repetitions=1, warmup_steps=0, milestones=(),
    )  # fmt: skip
    run = experiments.train(settings)
    assert run.model.image_shape == (8, 8, 1) and run.model.num_classes == 3
    flags = (tmp_path / "run" / "run.flags").read_text()
    assert "--dataset=tfds:mine\n" in flags
    settings = experiments.EvaluationSettings(model=run.path, ood="near:digits")
    (found,) = experiments.evaluate(settings)
    assert found.metrics["accuracy"] == pytest.approx(run.metrics["accuracy"], abs=1e-6)
    assert found.images.split == "test" and len(found.labels) == 3
    assert found.fitted_on == "validation images"
    (of_digits,) = found.shift["ood"]["sets"]
    assert of_digits["images"].startswith("grey, the shorter side") and of_digits["examples"] == 360


def test_what_has_a_name_of_its_own_is_called_by_it():
    assert data.full_name("tfds:cifar10") == "cifar10" and data.full_name("tfds:x") == "tfds:x"
    assert data.has_test_split("tfds:digits") and not data.takes_image_size("tfds:cifar10")
    assert len(data.load_examples("tfds:digits", "test")) == 360


def test_what_is_no_dataset_of_images_is_one_line(tmp_path):
    store(
        tmp_path, "boxes", greys(1), {"train": [0]},
        other=tfds.features.ClassLabel(num_classes=2),
    )  # fmt: skip
    cases = {
        "tfds:nothing_like_it": "tensorflow-datasets cannot give tfds:nothing_like_it: ",
        "tfds:boxes": "tfds:boxes is no dataset of uint8 images with a class each",
    }
    for name, message in cases.items():
        with pytest.raises(ValueError) as error:
            data.load_examples(name, "train", tmp_path)
        assert message in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="dataset must be one of digits, .*, tfds:NAME, got"):
        data.load_examples("tfds:", "train", tmp_path)


def test_names_of_tensorflow_datasets(mine):
    assert tfds_images.knows("svhn_cropped") and tfds_images.knows("mnist:3.0.1")
    assert not tfds_images.knows("svhn_croped")
    assert tfds_images.is_prepared("tfds:mine", mine)
    assert not tfds_images.is_prepared("tfds:mnist", mine)


def fitted(image, image_shape):
    image = np.asarray(image, np.uint8)
    return fitting.fit(tf.constant(image), image_shape, image.shape[2]).numpy()


def test_the_shorter_side_is_scaled_and_the_middle_cut_out():
    columns = np.zeros((4, 12, 3), np.uint8)
    columns[:, 4:8] = [[[10, 20, 30]]]
    np.testing.assert_array_equal(fitted(columns, (4, 4, 3)), columns[:, 4:8])
    np.testing.assert_array_equal(fitted(columns.transpose(1, 0, 2), (4, 4, 3)), columns[:, 4:8])
    stripes = np.repeat(np.arange(8, dtype=np.uint8), 2)[None, :, None] * np.ones(
        (8, 1, 3), np.uint8
    )
    assert fitted(stripes * 20, (4, 4, 3))[2, :, 0].tolist() == [40, 60, 80, 100]  # half as wide
    wide = fitted(np.full((3, 5, 3), 7), (9, 30, 3))  # a network that is not square
    assert wide.shape == (9, 30, 3) and (wide == 7).all()
    for size in ((1, 1), (3, 1), (1, 100), (33, 31)):
        assert fitted(np.full((*size, 3), 9), (32, 32, 3)).min() == 9


def test_scaling_is_as_pillow_scales():
    """OpenOOD scales with Pillow; the largest difference is its rounding."""
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3)).astype(np.uint8)
    theirs = np.asarray(Image.fromarray(image).resize((53, 32), Image.Resampling.BILINEAR))
    ours = fitted(image, (32, 32, 3))
    difference = np.abs(ours.astype(int) - theirs[:, 10:42].astype(int))
    assert difference.max() <= 2 and difference.mean() < 0.6


def test_colours_of_a_network():
    assert fitted(np.full((4, 4, 1), 50), (4, 4, 3)).tolist() == np.full((4, 4, 3), 50).tolist()
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert abs(int(fitted(red, (4, 4, 1))[0, 0, 0]) - 60) <= 1  # 0.299 of red
    four = np.concatenate([red, red[..., :1]], axis=-1)
    np.testing.assert_array_equal(fitted(four, (4, 4, 3)), red)
    assert fitting.described((32, 32, 3)).startswith("RGB, the shorter side scaled to 32 pixels")
    assert fitting.described((32, 64, 1)).startswith("grey, the shorter side scaled to 32×64")


def test_a_set_is_fitted_as_it_is_read(tmp_path):
    images = [*greys(10, size=(16, 20)), *greys(20, size=(40, 18))]
    store(tmp_path, "sizes", images, {"test": [0, 1]}, 2, (None, None, 1))
    examples = tfds_images.read_unsized("tfds:sizes", "test", tmp_path)
    there = fitting.fitted(examples, (8, 8, 3))
    ((batch, _),) = there.batches(5)
    assert batch.shape == (2, 8, 8, 3) and batch[:, 3, 3].numpy().tolist() == [[10] * 3, [20] * 3]
    in_memory = fitting.fitted(data.load_examples("digits", "test"), (16, 16, 1))
    assert next(iter(in_memory.batches(4)))[0].shape == (4, 16, 16, 1)
    with pytest.raises(ValueError, match="sizes has images of 1 channels, the network takes 4"):
        fitting.fitted(examples, (8, 8, 4))
