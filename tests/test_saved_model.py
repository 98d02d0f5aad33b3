"""The SavedModel answers where only TensorFlow can be imported, with the model's numbers."""

import pathlib

import bare_python
import numpy as np
import pytest
import tensorflow as tf
from scripts_at_work import full_disk
from small_models import as_if_trained, tiny_model

import mixmo_tf

CLIENT = """
import numpy as np
import tensorflow as tf

images = np.load("images.npy")
for name in ("logits", "probabilities"):
    signature = tf.saved_model.load(name).signatures["serving_default"]
    answers = {n: signature(images=tf.constant(images[:n])) for n in (1, 7, 40)}
    np.savez(f"{name}.npz", **{f"{key}_{n}": a[key] for n, a in answers.items() for key in a})
    assert signature(images=tf.constant(images[:0]))["probabilities"].shape == (0, 4)
"""


def test_the_saved_model_gives_the_models_numbers(tmp_path, pixels_and_labels):
    images, _ = pixels_and_labels
    names = ["a", "b", "c d", "é"]
    models = {
        ensemble: tiny_model(ensemble=ensemble, mean=(0.4, 0.5, 0.6), class_names=names)
        for ensemble in ("logits", "probabilities")
    }
    for ensemble, model in models.items():
        as_if_trained(model).export(tmp_path / ensemble)
    np.save(tmp_path / "images.npy", images)
    only_tensorflow = bare_python.with_dependencies("tensorflow") - {"keras", "tensorboard"}
    bare_python.run(tmp_path, only_tensorflow, ["mixmo_tf", "keras"], CLIENT)

    for ensemble, model in models.items():
        answers = np.load(tmp_path / f"{ensemble}.npz")
        expected = model.predict(images, verbose=0)
        logits = model.member_logits(images).numpy()
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        of_members = exponentials / exponentials.sum(axis=-1, keepdims=True)
        for n in (1, 7, 40):
            np.testing.assert_allclose(answers[f"probabilities_{n}"], expected[:n], atol=1e-5)
            of_n = answers[f"member_probabilities_{n}"]
            np.testing.assert_allclose(of_n, of_members[:n], atol=1e-5)
        assert np.ptp(expected) > 0.1 and of_members.shape == (40, 2, 4)
        written = (tmp_path / ensemble / "class_names.txt").read_text(encoding="utf-8")
        assert written.splitlines() == names


def test_it_is_loaded_as_a_model(tmp_path, pixels_and_labels):
    images, labels = pixels_and_labels
    model = tiny_model(class_names=["a", "b", "c", "d"])
    model.export(tmp_path / "exported")
    exported = mixmo_tf.load(tmp_path / "exported")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(exported.predict(images, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(exported(images + 0.4), expected, atol=1e-6)  # floats are rounded
    exported.compile(metrics=["accuracy"])
    ours, theirs = (
        each.evaluate(images, labels, verbose=0, return_dict=True) for each in (exported, model)
    )
    assert ours == pytest.approx(theirs, rel=1e-5) and "member_1_accuracy" in ours
    assert exported.class_names == ("a", "b", "c", "d")
    with pytest.raises(AttributeError, match="^an ExportedModel is not trained: train the MixMo"):
        exported.fit(images, labels)
    with pytest.raises(AttributeError, match="^an ExportedModel is saved already: copy its folder"):
        exported.save(tmp_path / "x.keras")
    with pytest.raises(ValueError, match=r"images must have the shape \(n, 16, 16, 3\)"):
        exported(tf.zeros([1, 8, 8, 3]))


def test_a_dataset_that_is_not_finite_is_not_taken_for_black_images(tmp_path, pixels_and_labels):
    """The signature takes uint8, which NaN would become."""
    images = pixels_and_labels[0][:8].astype(np.float32)
    model = tiny_model()
    model.export(tmp_path / "exported")
    exported = mixmo_tf.load(tmp_path / "exported")
    expected = model.predict(images, verbose=0)
    for value in (np.nan, np.inf, -np.inf):
        odd = images.copy()
        odd[3, 2, 1, 0] = value
        answers = exported.predict(tf.data.Dataset.from_tensor_slices(odd).batch(4), verbose=0)
        assert np.isnan(answers[3]).all()
        others = np.arange(8) != 3
        np.testing.assert_allclose(answers[others], expected[others], atol=1e-5)


def test_any_class_names_of_an_earlier_version_are_taken(tmp_path):
    """It wrote whatever names a model had."""
    tiny_model(class_names=["a", "b", "c", "d"]).export(tmp_path / "exported")
    (tmp_path / "exported/class_names.txt").write_bytes("3\n\nb\x0bc\n d\ré \n".encode())
    assert mixmo_tf.load(tmp_path / "exported").class_names == ("3", "class 1", "b c", "d é")


def test_a_plain_network_without_class_names(tmp_path, pixels_and_labels):
    model = tiny_model(num_members=1)
    model.export(str(tmp_path / "exported"))
    assert not (tmp_path / "exported/class_names.txt").exists()
    (folder,) = tmp_path.iterdir()
    weights = folder / "variables/variables.data-00000-of-00001"
    floats = sum(int(np.prod(v.shape)) for v in model.network.variables)
    assert 4 * floats <= weights.stat().st_size < 4 * floats + 1000  # each weight once


def test_bad_arguments_are_named(tmp_path):
    model = tiny_model()
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(FileExistsError, match=f"{path} exists; choose another folder"):
            model.export(path)
    with pytest.raises(ValueError, match="format must be one of tf_saved_model, onnx, litert, got"):
        model.export(tmp_path / "x", format="torch")
    with pytest.raises(OSError, match=f"cannot write {tmp_path}/file/x: "):
        model.export(tmp_path / "file" / "x")
    with full_disk(10_000), pytest.raises(OSError, match=f"cannot write {tmp_path}/x: "):
        model.export(tmp_path / "x")
    assert [p.name for p in pathlib.Path(tmp_path).iterdir()] == ["file"]
