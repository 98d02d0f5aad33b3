import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import pairing


@pytest.mark.parametrize("num_members", [1, 2, 3])
@pytest.mark.parametrize("input_repetition", [0.0, 0.6, 1.0])
def test_every_image_appears_b_times_per_member(num_members, input_repetition):
    rows = pairing.draw(10, num_members, 4, input_repetition, [1, 2]).numpy()
    assert rows.shape == (40, num_members)
    for member in range(num_members):
        np.testing.assert_array_equal(np.bincount(rows[:, member]), np.full(10, 4))


def test_the_first_rows_are_shared_and_the_others_are_not():
    rows = pairing.draw(100, 3, 4, 0.6, [3, 4]).numpy()
    assert (rows[:240] == rows[:240, :1]).all()
    assert np.mean(rows[240:, 0] == rows[240:, 1]) < 0.1  # by chance: 1 in 100
    assert np.unique(rows[:240, 0]).size > 90  # which rows are shared is drawn too


def test_members_meet_the_rows_in_orders_of_their_own():
    rows = pairing.draw(64, 2, 4, 0.0, [5, 6]).numpy()
    assert np.mean(rows[:, 0] == rows[:, 1]) < 0.1
    assert np.mean(rows[:, 0] == np.repeat(np.arange(64), 4)) < 0.1  # not the identity


def test_xla_draws_the_same():
    compiled = tf.function(lambda seed: pairing.draw(16, 2, 4, 0.5, seed), jit_compile=True)
    seed = tf.constant([7, 8])
    np.testing.assert_array_equal(compiled(seed), pairing.draw(16, 2, 4, 0.5, seed))
