import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from mixmo_tf import seeds


def test_seeds_differ_between_runs_steps_and_replicas():
    drawn = {
        tuple(seeds.step_seed(run, step, replica).numpy())
        for run in (0, 1, 2**31 - 1)
        for step in (0, 1, 2, 1000, 937_500)
        for replica in (0, 1, 7)
    }
    assert len(drawn) == 3 * 5 * 3


def test_the_same_place_has_the_same_seed():
    np.testing.assert_array_equal(seeds.step_seed(4, 17, 1), seeds.step_seed(4, 17, 1))


def test_draws_of_neighbouring_steps_are_independent():
    draws = np.stack([seeds.uniform([2000], seeds.step_seed(0, t)) for t in range(4)])
    correlation = np.corrcoef(draws) - np.eye(4)
    assert np.abs(correlation).max() < 0.08
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 0.001


@pytest.mark.parametrize("high", [2, 9])
def test_integers_are_uniform(high):
    counts = np.bincount(seeds.integers([9000], [1, 2], high), minlength=high)
    assert stats.chisquare(counts).pvalue > 0.001


def test_normal_draws_are_normal():
    assert stats.kstest(seeds.normal([20_000], [3, 4]), "norm").pvalue > 0.001


@pytest.mark.parametrize(
    "draw", [seeds.uniform, seeds.normal, lambda s, k: seeds.integers(s, k, 9)]
)
def test_xla_draws_the_same(draw):
    compiled = tf.function(lambda seed: draw([1000], seed), jit_compile=True)
    seed = tf.constant([5, 6])
    np.testing.assert_allclose(compiled(seed), draw([1000], seed), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_draws_are_those_of_tensorflow(jit_compile):
    """So what a run draws stays, though the key is made of a seed in fewer operations."""

    @tf.function(jit_compile=jit_compile)
    def draw(seed, count):
        shape = [2, 3] if jit_compile else [count, 3]
        return seeds.bits(shape, seed), seeds.integers(shape, seed, 7), seeds.split_rows(seed, 4)

    @tf.function(jit_compile=jit_compile)
    def expected(seed, count):
        shape = [2, 3] if jit_compile else [count, 3]
        options = {"alg": "philox"}
        return (
            tf.random.stateless_uniform(shape, seed, None, None, tf.int64, **options),
            tf.random.stateless_uniform(shape, seed, 0, 7, tf.int32, **options),
            tf.random.split(seed, 4, **options),
        )

    for pair in [*np.random.default_rng(0).integers(-(2**31), 2**31, (20, 2)), (0, 0), (-1, 1)]:
        arguments = tf.constant(pair, tf.int32), tf.constant(2)
        for ours, theirs in zip(draw(*arguments), expected(*arguments), strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_array_equal(ours, theirs)
