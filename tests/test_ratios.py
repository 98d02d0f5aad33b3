import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from mixmo_tf import ratios


@pytest.mark.parametrize("root", [1, 2, 3, 4, 5])
def test_loss_weights_of_two_members_agree_with_the_reference(reference, root):
    rules = reference("training_rules")
    kappa = rules["reweighting/kappa"]
    weights = ratios.loss_weights(np.stack([kappa, 1 - kappa], axis=1), root)
    np.testing.assert_allclose(weights, rules[f"reweighting/kappa_root{root}"], atol=1e-12)


@pytest.mark.parametrize("root", [1, 3])
def test_loss_weights_of_three_members_agree_with_the_reference(reference, root):
    rules = reference("training_rules")
    weights = ratios.loss_weights(rules["reweighting/kappa_m3"], root)
    np.testing.assert_allclose(weights, rules[f"reweighting/m3_root{root}"], atol=1e-12)


def test_loss_weights_by_hand():
    weights = ratios.loss_weights(tf.constant([[0.125, 0.875], [0.0, 1.0]]), 3.0)
    rooted = 0.875 ** (1 / 3)
    by_hand = [[2 * 0.5 / (0.5 + rooted), 2 * rooted / (0.5 + rooted)], [0, 2]]
    np.testing.assert_allclose(weights, by_hand, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0, 7.5])
@pytest.mark.parametrize("num_members", [2, 3])
def test_ratios_are_dirichlet(alpha, num_members):
    kappa = ratios.draw(20_000, num_members, alpha, [1, 2]).numpy()
    np.testing.assert_allclose(kappa.sum(axis=1), 1, rtol=1e-5)
    for member in range(num_members):
        marginal = stats.beta(alpha, alpha * (num_members - 1))
        assert stats.kstest(kappa[:, member], marginal.cdf).pvalue > 0.001


def test_a_tiny_alpha_gives_finite_ratios():
    kappa = ratios.draw(1000, 3, 1e-3, [0, 1]).numpy()
    np.testing.assert_allclose(kappa.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(kappa.max(axis=1) > 0.99) > 0.95  # nearly one-hot


def test_alpha_0_gives_equal_ratios_exactly():
    np.testing.assert_array_equal(ratios.draw(5, 4, 0, [0, 0]), np.full((5, 4), 0.25))


def test_xla_draws_the_same():
    compiled = tf.function(lambda seed: ratios.draw(64, 3, 2.0, seed), jit_compile=True)
    seed = tf.constant([3, 4])
    np.testing.assert_allclose(compiled(seed), ratios.draw(64, 3, 2.0, seed), rtol=1e-5)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="alpha must be >= 0, got -1"):
        ratios.draw(4, 2, -1.0, [0, 0])
    with pytest.raises(ValueError, match="num_members must be >= 1, got 0"):
        ratios.draw(4, 0, 1.0, [0, 0])
    with pytest.raises(ValueError, match="weight_root must be > 0, got 0"):
        ratios.loss_weights([[0.5, 0.5]], 0)
