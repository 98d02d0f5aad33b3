import keras
import numpy as np
import pytest
from scripts_at_work import full_disk
from small_models import tiny_model

from mixmo_tf.training import checkpoints


def test_the_newest_that_can_be_read_is_taken(tmp_path):
    model = tiny_model()
    for step in (5, 10):
        model.step.assign(step)
        checkpoints.save_model(model, tmp_path / f"step_{step:08d}.keras")
    assert int(checkpoints.load_newest(tmp_path).step.numpy()) == 10
    newest = tmp_path / "step_00000010.keras"
    newest.write_bytes(newest.read_bytes()[:-500])
    with pytest.warns(UserWarning, match="step_00000010.keras is not a readable .keras file"):
        assert int(checkpoints.load_newest(tmp_path).step.numpy()) == 5
    (tmp_path / "step_00000005.keras").write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no checkpoint in .* be read"):
        checkpoints.load_newest(tmp_path)
    assert checkpoints.load_newest(tmp_path / "empty") is None


def test_damage_inside_a_file_is_found(tmp_path):
    file = tmp_path / "step_00000001.keras"
    checkpoints.save_model(tiny_model(), file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="step_00000001.keras is not a readable .keras file"):
        checkpoints.load_model(file)


def test_a_full_disk_leaves_the_file_that_is_there(tmp_path):
    model = tiny_model()
    file = tmp_path / "step_00000001.keras"
    checkpoints.save_model(model, file)
    before = file.read_bytes()
    full = full_disk(len(before) // 2)
    with full, pytest.raises(OSError, match=f"cannot write {file}: File too large"):
        checkpoints.save_model(model, file)
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == [file.name]
    np.testing.assert_array_equal(
        checkpoints.load_newest(tmp_path).get_weights()[0], model.get_weights()[0]
    )


def test_another_kind_of_model_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="holds a Sequential, not a MixMo"):
        checkpoints.load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"there is no model at {tmp_path}/x.keras"):
        checkpoints.load_model(tmp_path / "x.keras")
