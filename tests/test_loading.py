import numpy as np
import pytest
from conftest import tiny_model

import mixmo_tf
from mixmo_tf.deployment import FoldedModel, fold


def test_a_run_and_a_keras_file(tmp_path, pixels_and_labels, monkeypatch):
    images, _ = pixels_and_labels
    model = tiny_model()
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (tmp_path, str(tmp_path / "model.keras"), "~/model.keras"):
        loaded = mixmo_tf.load(path)
        assert isinstance(loaded, mixmo_tf.MixMo) and loaded.compiled
        np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    fold(model).save(tmp_path / "folded.keras")
    folded = mixmo_tf.load(tmp_path / "folded.keras")
    assert isinstance(folded, FoldedModel)
    np.testing.assert_allclose(folded.predict(images, verbose=0), expected, atol=1e-5)


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"there is no model at {tmp_path}/model.keras"):
        mixmo_tf.load(tmp_path)
    (tmp_path / "x.keras").write_text("no model")
    with pytest.raises(ValueError, match="x.keras is no readable .keras file"):
        mixmo_tf.load(tmp_path / "x.keras")
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match="has no model.json: it is not from MixMo.export"):
        mixmo_tf.load(tmp_path)
