"""Corrupted images that were published: how they are read, and what is said of a model on them."""

import io
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from test_image_folder import grey, save

from mixmo_tf.data import corruptions
from mixmo_tf.evaluation import calibration, corruption


def write_arrays(folder, *names, count=2, shape=(4, 4, 3)):
    """A folder in CIFAR-10-C's layout: every image is filled with its row's number."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.arange(5 * count, dtype=np.uint8)
    for name in names:
        images = np.broadcast_to(rows[:, None, None, None], (5 * count, *shape))
        np.save(folder / f"{name}.npy", images)
    np.save(folder / "labels.npy", np.tile(np.arange(count), 5))
    return folder


def greys(opened, batch_size=32):
    images, labels = zip(*opened.batches(batch_size), strict=True)
    assert all(np.asarray(each).dtype == np.uint8 for each in images)
    return np.concatenate(images)[:, 0, 0, 0].tolist(), np.concatenate(labels).tolist()


def test_a_severity_is_its_rows(tmp_path):
    write_arrays(tmp_path / "CIFAR-10-C", "fog", "saturate", count=3)
    found = corruptions.find("cifar10_c", None, str(tmp_path))
    assert found.sets == tuple((n, s) for n in ("fog", "saturate") for s in (1, 2, 3, 4, 5))
    opened = found.open("fog", 2)
    assert greys(opened, 2) == ([3, 4, 5], [0, 1, 2]) and greys(found.open("fog", 5))[0][-1] == 14
    assert opened.info.image_shape == (4, 4, 3) and opened.info.num_examples == 3
    assert opened.info.class_names[:2] == ("airplane", "automobile")
    before = found.state("fog", 2)
    write_arrays(tmp_path / "CIFAR-10-C", "fog", count=4)
    assert found.state("fog", 2) != before == before


@pytest.mark.parametrize("where", ["CIFAR-100-C", "downloads/manual/CIFAR-100-C", "."])
def test_the_places_that_are_looked_at(tmp_path, where):
    write_arrays(tmp_path / where, "snow")
    found = corruptions.find("cifar100_c", None, str(tmp_path))
    assert len(found.sets) == 5 and found.open("snow", 1).info.num_classes == 100
    there = corruptions.find("cifar100_c", str(tmp_path / where), "elsewhere")
    assert there.sets == found.sets


def test_folders_of_files(tmp_path):
    for severity in (1, 4):
        for label, wnid in enumerate(("n00000002", "n00000001")):
            path = tmp_path / f"Tiny-ImageNet-C/fog/{severity}/{wnid}/a.png"
            save(path, grey(10 * severity + label))
    found = corruptions.find("tiny_imagenet_c", None, str(tmp_path))
    assert found.sets == (("fog", 1), ("fog", 4))
    opened = found.open("fog", 4)
    assert greys(opened) == ([41, 40], [0, 1])  # in the order of the ids
    assert opened.info.class_names == ("n00000001", "n00000002")
    before = found.state("fog", 4)
    save(tmp_path / "Tiny-ImageNet-C/fog/4/n00000001/b.png", grey(0))
    assert found.state("fog", 4) != before


@pytest.mark.parametrize(
    "name, in_tfds, config, shape, more, last_class",
    [
        ("cifar10_c", "cifar10_corrupted", "frosted_glass_blur_3", (32, 32, 3), {}, "truck"),
        (
            "imagenet_c", "imagenet2012_corrupted", "glass_blur_3", (224, 224, 3),
            {"file_name": ["a", "b", "c", "d"]}, "n15075141",
        ),
    ],
)  # fmt: skip
def test_what_tensorflow_datasets_has_prepared(
    tmp_path, name, in_tfds, config, shape, more, last_class
):
    builder = tfds.builder(f"{in_tfds}/{config}", data_dir=tmp_path)
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, *shape), np.uint8)
    rows = {"image": images, "label": [3, 2, 1, 0], **more}
    split = {"cifar10_c": "test", "imagenet_c": "validation"}[name]
    tfds.dataset_builders.store_as_tfds_dataset(
        name=in_tfds, config=config, version=str(builder.version),
        features=builder.info.features, data_dir=tmp_path, disable_shuffling=True,
        split_datasets={split: tf.data.Dataset.from_tensor_slices(rows)},
    )  # fmt: skip
    found = corruptions.find(name, None, str(tmp_path))
    assert found.sets == (("glass_blur", 3),)
    opened = found.open("glass_blur", 3)
    assert greys(opened, 3) == ([0, 1, 2, 3], [3, 2, 1, 0])
    assert opened.info.class_names[-1] == last_class
    assert (opened.info.num_examples, opened.info.image_shape) == (4, shape)
    assert config in found.state("glass_blur", 3)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        corruptions.find("cifar10_c", None, str(tmp_path))
    assert f"no CIFAR-10-C in {tmp_path}/CIFAR-10-C or " in str(error.value)
    assert "nor is cifar10_corrupted prepared; it is at https://zenodo.org" in str(error.value)
    with pytest.raises(FileNotFoundError, match=f"no Tiny ImageNet-C in {tmp_path}; it is at"):
        corruptions.find("tiny_imagenet_c", str(tmp_path), None)
    with pytest.raises(ValueError, match="corruptions must be one of cifar10_c, .*, got 'fog'"):
        corruptions.find("fog", None, None)
    write_arrays(tmp_path, "fog")
    (tmp_path / "made.json").write_text("{}")
    with pytest.raises(ValueError, match=f"made here, .*--corruptions=made:{tmp_path} evaluates"):
        corruptions.find("cifar10_c", str(tmp_path), None)


class Trap:
    """What a pickle runs when it is loaded."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


def damaged(folder):
    """What is done to a good folder, and what is said of it then."""
    fog, labels = folder / "fog.npy", folder / "labels.npy"
    whole = fog.read_bytes()
    objects = io.BytesIO()
    np.save(objects, np.array([Trap()], object), allow_pickle=True)
    yield fog, whole[:-10], "fog.npy is not a readable .npy file: mmap length"
    yield fog, b"", "fog.npy is not a readable .npy file: "
    yield fog, pickle.dumps(Trap()), "fog.npy is not a readable .npy file: the magic string"
    yield fog, objects.getvalue(), "fog.npy is not a readable .npy file: .*Python objects"
    short, floats, flat = (io.BytesIO() for _ in range(3))
    np.save(short, np.zeros((9, 4, 4, 3), np.uint8))
    np.save(floats, np.zeros((10, 4, 4, 3), np.float32))
    np.save(flat, np.zeros((10, 48), np.uint8))
    for shape in ((-10, 4, 4, 3), (2**40, 2**20, 4, 3)):
        start = io.BytesIO()
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(start, header)
        yield fog, start.getvalue() + b"12", "fog.npy is not a readable .npy file: "
    yield fog, short.getvalue(), r"fog.npy must be uint8 \(10, h, w, channels\), as many as labels"
    yield fog, floats.getvalue(), r"must be uint8 .*, got float32 \(10, 4, 4, 3\)"
    yield fog, flat.getvalue(), r"must be uint8 .*, got uint8 \(10, 48\)"
    fog.write_bytes(whole)
    for of_labels, message in (
        (np.zeros(7, int), r"labels.npy must be labels \(5·N,\), .*, got int64 \(7,\)"),
        (np.zeros(0, int), r"N >= 1, got int64 \(0,\)"),
        (np.zeros(10), "labels.npy must be integers, got float64"),
        (np.zeros((10, 2), int), r"got int64 \(10, 2\)"),
        (np.zeros(5, int), r"fog.npy must be uint8 \(5, h, w, channels\)"),
    ):
        content = io.BytesIO()
        np.save(content, of_labels)
        yield labels, content.getvalue(), message


def test_damaged_files_are_named_and_no_pickle_is_run(tmp_path):
    folder = write_arrays(tmp_path, "fog")
    for file, content, message in damaged(folder):
        file.write_bytes(content)
        found = corruptions.find("cifar10_c", str(folder), None)
        with pytest.raises(ValueError, match=message) as error:
            found.open("fog", 1)
        assert "\n" not in str(error.value)
    (folder / "labels.npy").unlink()
    with pytest.raises(FileNotFoundError, match="there is no .*labels.npy beside fog.npy"):
        corruptions.find("cifar10_c", str(folder), None)


def logits(*probabilities):
    """One member's, (n, 1, C)."""
    return np.log(np.array(probabilities))[:, None]


TWO = {  # two images at two severities; in ECE's bins, .9 and .8 are apart
    ("fog", 1): corruption.sums(logits((0.9, 0.1), (0.8, 0.2)), [0, 1]),  # right, wrong
    ("fog", 2): corruption.sums(logits((0.8, 0.2), (0.9, 0.1)), [0, 1]),  # right, wrong
}


def test_two_images_at_two_severities():
    found = corruption.summary(TWO)
    first, second = (found["sets"]["fog"][severity] for severity in ("1", "2"))
    assert first["accuracy"] == second["accuracy"] == 0.5
    assert first["nll"] == pytest.approx(-np.log([0.9, 0.2]).mean())
    assert second["nll"] == pytest.approx(-np.log([0.8, 0.1]).mean())
    assert first["brier"] == pytest.approx((0.02 + 1.28) / 2)
    assert second["brier"] == pytest.approx((0.08 + 1.62) / 2)
    assert first["ece"] == pytest.approx((0.1 + 0.8) / 2)
    assert second["ece"] == pytest.approx((0.2 + 0.9) / 2)
    for mean in (found["per_corruption"]["fog"], found["mean_over_found"]):
        assert mean["ece"] == pytest.approx(0.5) and mean["brier"] == pytest.approx(0.75)
        assert mean["member_ece"] == [mean["ece"]]
    assert found["per_severity"] == {"1": first, "2": second}
    assert found["pool"]["ece"] == pytest.approx((0.8 + 0.6) / 4)  # +.1 − .9, and −.8 + .2
    assert found["pool"]["brier"] == pytest.approx(0.75)
    assert found["mean_over_15"] is found["mean_over_19"] is None and "mce" not in found
    assert found["undefined"] == {
        "mean_over_15": "73 of its 75 sets are missing",
        "mean_over_19": "93 of its 95 sets are missing",
    }


def random_sets(names, seed=0):
    random = np.random.default_rng(seed)
    member_logits = random.normal(0, 2, (len(names) * 5, 20, 2, 4))
    labels = random.integers(0, 4, (len(names) * 5, 20))
    keys = [(name, severity) for name in names for severity in corruptions.SEVERITIES]
    return dict(zip(keys, zip(member_logits, labels, strict=True), strict=True))


def test_the_three_means_and_the_pool():
    """Accuracy, NLL and Brier score of the pool are those of the mean, its ECE is not."""
    sets = random_sets(corruptions.NAMES)
    found = corruption.summary({key: corruption.sums(*each) for key, each in sets.items()})
    together = [np.concatenate(part) for part in zip(*sets.values(), strict=True)]
    p = np.exp(together[0].mean(axis=1))
    p /= p.sum(axis=1, keepdims=True)
    assert found["pool"]["ece"] == pytest.approx(calibration.ece(p, together[1]), abs=1e-12)
    for key in ("accuracy", "nll", "brier"):
        assert found["pool"][key] == pytest.approx(found["mean_over_19"][key], abs=1e-12)
    assert found["mean_over_19"]["ece"] > found["pool"]["ece"] + 0.01
    of_15 = [found["per_corruption"][name]["accuracy"] for name in corruptions.BENCHMARK]
    assert found["mean_over_15"]["accuracy"] == pytest.approx(np.mean(of_15), abs=1e-12)
    assert found["mean_over_15"]["accuracy"] != found["mean_over_19"]["accuracy"]
    assert found["mean_over_found"] == found["mean_over_19"] and "undefined" not in found
    assert len(found["mean_over_19"]["member_nll"]) == 2
    member = [found["sets"]["snow"][str(s)]["member_accuracy"][1] for s in range(1, 6)]
    assert found["per_corruption"]["snow"]["member_accuracy"][1] == pytest.approx(np.mean(member))


def test_batches_and_their_order_change_nothing():
    ((member_logits, labels),) = list(random_sets(["fog"]).values())[:1]
    whole = corruption.metrics(corruption.sums(member_logits, labels, "probabilities"))
    order = np.random.default_rng(1).permutation(20)
    parts = [
        corruption.sums(member_logits[i], labels[i], "probabilities")
        for i in (order[:7], order[7:])
    ]
    of_parts = corruption.metrics(sum(parts))
    assert of_parts.keys() == whole.keys()
    for key, value in whole.items():
        assert of_parts[key] == pytest.approx(value, abs=1e-12)


def test_mce_is_relative_to_alexnet():
    """Where every answer is wrong, CE is one over AlexNet's error; where half are, half of that."""
    assert tuple(corruption.ALEXNET_ERRORS) == corruptions.BENCHMARK
    wrong = corruption.sums(logits((0.9, 0.1), (0.8, 0.2)), [1, 1])
    half = TWO["fog", 1]
    sets = {(n, s): wrong for n in corruptions.BENCHMARK for s in corruptions.SEVERITIES}
    sets |= {("brightness", severity): half for severity in corruptions.SEVERITIES}
    found = corruption.summary(sets, with_mce=True)
    assert found["ce"]["gaussian_noise"] == pytest.approx(1 / 0.886428)
    assert found["ce"]["brightness"] == pytest.approx(0.5 / 0.564592)
    assert found["mce"] == pytest.approx(np.mean(list(found["ce"].values())))
    assert found["member_mce"] == pytest.approx([found["mce"]])
    del sets["fog", 3]
    found = corruption.summary(sets, with_mce=True)
    assert found["mce"] is None and found["undefined"]["mce"] == "1 of its 75 sets are missing"
