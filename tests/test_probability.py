import keras
import numpy as np
import pytest

from mixmo_tf import AnnealedProbability


def test_agrees_with_the_reference(reference):
    rules = reference("training_rules")
    progress = rules["patch_probability/progress"]
    steps = 600_000
    schedule = AnnealedProbability(0.5, steps)
    drawn = [schedule(round(t * steps)) for t in progress]
    np.testing.assert_allclose(drawn, rules["patch_probability/p05"], atol=1e-5)


def test_by_hand():
    schedule = AnnealedProbability(0.4, 120)
    np.testing.assert_allclose(
        [schedule(t) for t in (0, 110, 115, 120)], [0.4, 0.4, 0.2, 0], atol=1e-6
    )


def test_survives_serialisation():
    schedule = AnnealedProbability(0.4, 120)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert isinstance(copy, AnnealedProbability)
    assert copy.get_config() == {"probability": 0.4, "total_steps": 120}


def test_bad_values_are_named():
    with pytest.raises(ValueError, match=r"mixing_probability must be in \[0, 1\], got 1.5"):
        AnnealedProbability(1.5, 10)
    with pytest.raises(ValueError, match="total_steps must be >= 1, got 0"):
        AnnealedProbability(0.5, 0)
