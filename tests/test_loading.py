import keras
import numpy as np
import pytest
from small_models import tiny_model

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
    with pytest.raises(ValueError, match="x.keras is not a readable .keras file"):
        mixmo_tf.load(tmp_path / "x.keras")
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match="has no model.json: it is not from MixMo.export"):
        mixmo_tf.load(tmp_path)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_damaged(tmp_path, share):
    model = tiny_model()
    model.save(tmp_path / "model.keras")
    whole = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(whole[: int(share * len(whole))])
    for path in (tmp_path, tmp_path / "model.keras"):
        with pytest.raises(
            ValueError, match="model.keras is not a .* file: it is damaged, no zip "
        ):
            mixmo_tf.load(path)


def test_a_shared_folder_that_is_cut_short_is_damaged(tmp_path):
    folder, cut = tmp_path / "shared", "damaged or cut short"
    keras.saving.save_model(tiny_model(), folder, zipped=False)
    (folder / "model.json").write_text("{}")
    weights = (folder / "model.weights.h5").read_bytes()
    for content in (b"", weights[: len(weights) // 2], b"noise"):
        (folder / "model.weights.h5").write_bytes(content)
        with pytest.raises(
            ValueError, match=f"shared is not a .* model: model.weights.h5 is {cut}$"
        ):
            mixmo_tf.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match="shared holds no model: only the files beside one are"):
        mixmo_tf.load(folder)
