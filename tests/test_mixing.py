import numpy as np

from mixmo_tf import MixingLayer


def test_mixing_by_hand():
    features = [np.full((1, 1, 2, 3), 1.0), np.full((1, 1, 2, 3), 10.0)]
    masks = np.array([[[[1.0, 0.0], [0.25, 0.75]]]])  # (1, 1, 2, 2)
    mixed = MixingLayer()(features, masks)
    by_hand = [2 * 1, 2 * (0.25 * 1 + 0.75 * 10)]
    np.testing.assert_allclose(mixed, np.tile(np.reshape(by_hand, (1, 1, 2, 1)), 3))


def test_even_masks_give_the_plain_sum():
    features = [np.random.default_rng(i).normal(size=(2, 4, 4, 5)) for i in range(3)]
    mixed = MixingLayer()(features, np.full((2, 4, 4, 3), 1 / 3))
    np.testing.assert_allclose(mixed, sum(features), rtol=1e-5, atol=1e-6)
