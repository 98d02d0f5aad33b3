"""No call moves the random state of the process: what a user draws afterwards stays the same."""

import random

import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state
from small_models import tiny_model
from tensorflow.python.eager import context

import mixmo_tf
from mixmo_tf import deployment, experiments, random_state

FORMATS = "saved_model", "onnx", "litert"


def state():
    """Of Python, NumPy, Keras and TensorFlow."""
    of_numpy = np.random.get_state()  # noqa: NPY002
    of_keras = [
        global_state.get_global_attribute(name)
        for name in ("global_random_seed", "global_seed_generator")
    ]
    generator = of_keras[1] and of_keras[1].state.numpy().tolist()
    seed = getattr(context.context(), "_seed", None)
    return random.getstate(), of_numpy[1].tolist(), of_numpy[2:], of_keras, generator, seed


@pytest.fixture(autouse=True)
def same_before_and_after():
    random.seed(3)
    np.random.seed(4)  # noqa: NPY002
    before = state()
    yield
    assert state() == before


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """What `export` wrote, by format; the state around it is compared here."""
    before = state()
    output = tmp_path_factory.mktemp("exported") / "exported"
    files = experiments.export(
        experiments.ExportSettings(
            model=finished[0], output_dir=output, format=FORMATS, litert="float32"
        )
    )
    assert state() == before
    return dict(zip(FORMATS, files, strict=True))


def test_the_state_is_what_a_layer_moves():
    """Or the tests below could not fail."""
    before = state()
    with random_state.kept():
        tiny_model()
        assert state() != before
    assert state() == before
    with random_state.seeded(7, alone=False):
        assert random.random() == random.Random(7).random()


def test_train_and_evaluate(finished, tmp_path, shallow):
    path = tmp_path / "run"
    settings = experiments.Settings.from_flagfile(
        finished[0] / "run.flags", output_dir=path, epochs=1, batch_size=512
    )
    for _ in range(2):  # trained, and read
        experiments.train(settings)
    evaluated = experiments.EvaluationSettings(
        model=[f"{path}", f"{path},{finished[0]}"], output_dir=tmp_path / "evaluated"
    )
    assert len(experiments.evaluate(evaluated)) == 2


@pytest.mark.parametrize("format", FORMATS)
def test_load(exported, format):
    images = np.zeros((1, 32, 32, 3), np.uint8)
    assert mixmo_tf.load(exported[format]).predict(images, verbose=0).shape == (1, 10)


def test_load_a_run_and_fold_it(finished):
    model = mixmo_tf.load(finished[0])
    for options in ({}, {"members": True}, {"fuse_batch_norm": True}):
        deployment.fold(model, **options)


def test_pictures(finished, tmp_path):
    experiments.draw_encoders(
        experiments.EncoderSettings(model=finished[0], output=tmp_path / "encoders.png")
    )
    pictures = experiments.draw_masks(
        experiments.MaskSettings(mixing=["cow", "cutmix"], rows=1, output_dir=tmp_path / "masks")
    )
    assert pictures == [tmp_path / "masks/cow.png", tmp_path / "masks/cutmix.png"]
    idea = experiments.draw_idea(experiments.IdeaSettings(output=tmp_path / "idea.png"))
    assert idea == tmp_path / "idea.png" and all(each.is_file() for each in (idea, *pictures))


@pytest.mark.torch
def test_convert(published, tmp_path):
    published.save(tmp_path / "x.keras")
    random.seed(3)  # `published` drew its weights
    for source, output in ((tmp_path / "x.keras", "x.pt"), (tmp_path / "x.pt", "y.keras")):
        model = experiments.convert_checkpoint(
            experiments.ConvertSettings(input=source, output=tmp_path / output)
        )
        assert isinstance(model, keras.Model) and (tmp_path / output).is_file()
