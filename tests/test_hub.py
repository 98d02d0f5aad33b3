"""Models of the Hugging Face Hub: only the download is stood in for, by the path of a folder."""

import shutil
import sys
import types

import keras
import pytest
from small_models import assert_same, tiny_model

import mixmo_tf
from mixmo_tf.deployment import fold
from mixmo_tf.experiments import PredictSettings


class Answer(Exception):
    """An error of the hub's, with the HTTP status that it answered."""

    def __init__(self, status):
        super().__init__(f"{status} Client Error. (Request ID: 1)\n\nmore of it")
        self.response = types.SimpleNamespace(status_code=status)


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for huggingface_hub, whose download gives `hub.folder`, or raises `hub.error`."""

    def snapshot_download(**arguments):
        module.asked.append(arguments)
        if module.error:
            raise module.error
        return str(module.folder)

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download, module.asked, module.error = snapshot_download, [], None
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return module


def test_a_model_of_the_hub_is_loaded_from_what_was_downloaded(tmp_path, hub):
    model = fold(tiny_model(class_names=("a", "b", "c", "d")))
    keras.saving.save_model(model, tmp_path / "snapshot", zipped=False)
    hub.folder = tmp_path / "snapshot"
    loaded = mixmo_tf.load("hf://someone/tiny-1.0_b")
    assert type(loaded) is type(model) and loaded.class_names == ("a", "b", "c", "d")
    assert_same(loaded.get_weights(), model.get_weights())
    (asked,) = hub.asked
    assert asked.pop("allow_patterns")[:3] == ["metadata.json", "config.json", "model.weights.h5"]
    of_keras = {"library_name": "keras", "library_version": keras.__version__}
    assert asked == {"repo_id": "someone/tiny-1.0_b", **of_keras}
    assert PredictSettings(model="hf://someone/tiny").groups() == [[hub.folder]]

    shutil.copy(hub.folder / "config.json", tmp_path)
    hub.folder = tmp_path
    with pytest.raises(ValueError, match="hf://a/b has no model.weights.h5: it is no model that K"):
        mixmo_tf.load("hf://a/b")


@pytest.mark.parametrize("name", ["hf://x", "hf:/a/b", "hf://a/b/c", "hf://-a/b", "hf://a/b--c"])
def test_what_is_no_name_is_said(name, hub):
    message = f"^a model of the hub must be named hf://USER/MODEL, got '{name}'$"
    with pytest.raises(ValueError, match=message):
        mixmo_tf.load(name)
    assert not hub.asked


def test_what_the_hub_does_not_give_is_one_line(hub, monkeypatch):
    for hub.error in (Answer(401), Answer(404)):
        with pytest.raises(FileNotFoundError, match="^the hub has no model hf://a/b, or does not"):
            mixmo_tf.load("hf://a/b")
    hub.error = Answer(500)
    with pytest.raises(OSError, match=r"^cannot download hf://a/b: 500 .*\(Request ID: 1\)$"):
        mixmo_tf.load("hf://a/b")
    hub.error = FileNotFoundError("no snapshot in the cache")
    hub.error.__cause__ = ConnectionError("Name or service not known")
    with pytest.raises(OSError, match="^cannot download hf://a/b: Name or service not known$"):
        mixmo_tf.load("hf://a/b")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"^huggingface_hub must be .*: pip install -e .+\[hub\]"):
        mixmo_tf.load("hf://a/b")
