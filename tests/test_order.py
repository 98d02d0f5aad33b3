"""The order of training is a uniform permutation, for every number of examples."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf import seeds
from mixmo_tf.data import stream, training_batches


def read(num_examples, epochs, seed=0):
    """The orders of successive epochs, (epochs, N), as `fit` would read them."""
    examples = (np.arange(num_examples),)
    batches = training_batches(examples, num_examples, seed).as_numpy_iterator()
    return np.array([order for (order,) in itertools.islice(batches, epochs)])


def orders(num_examples, epochs, seed=0):
    """The same in a fraction of the time, without a dataset of each epoch."""

    def draw(epoch):
        return stream.permutation(num_examples, seeds.step_seed(seed, epoch, stream._ORDER))

    return tf.function(lambda: tf.map_fn(draw, tf.range(epochs, dtype=tf.int64)))().numpy()


@pytest.mark.parametrize("num_examples", [1, 5, 64, 1437])
def test_the_orders_that_are_counted_here_are_those_that_are_read(num_examples):
    for seed in (0, 3):
        ours, theirs = orders(num_examples, 5, seed), read(num_examples, 5, seed)
        np.testing.assert_array_equal(ours, theirs)


def chi_square(counts):
    """χ² per degree of freedom against equal chances; 1 ± √(2/df) is usual."""
    counts = np.asarray(counts, float)
    expected = counts.mean()
    return np.sum((counts - expected) ** 2 / expected) / (counts.size - 1)


def bound(categories):
    """Four standard deviations above 1."""
    return 1 + 4 * math.sqrt(2 / (categories - 1))


@pytest.mark.parametrize("num_examples", [20_000, 50_000])
def test_neighbours_meet_in_a_batch_as_often_as_chance_has_it(num_examples):
    """Sorted by class, data would otherwise come in batches that are too even."""
    batch_size, epochs, distances = 16, 40, (1, 2, 4, 8)
    meetings = 0
    for order in orders(num_examples, epochs):
        batch = np.empty(num_examples, np.int32)
        batch[order] = np.arange(num_examples) // batch_size
        meetings += sum(np.sum(batch[d:] == batch[:-d]) for d in distances)
    chance = (batch_size - 1) / (num_examples - 1)
    expected = epochs * sum(num_examples - d for d in distances) * chance
    assert abs(meetings - expected) < 3 * math.sqrt(expected)


def test_every_example_is_first_equally_often():
    first = orders(64, 20_000)[:, 0]
    assert chi_square(np.bincount(first, minlength=64)) < bound(64)


def test_every_example_is_left_out_equally_often():
    """1,437 in batches of 16 leave 13 out: the digits."""
    left_out = orders(1437, 4_000)[:, 1437 // 16 * 16 :]
    assert left_out.shape[1] == 13
    assert chi_square(np.bincount(left_out.ravel(), minlength=1437)) < bound(1437)


@pytest.mark.parametrize("num_examples", [1, 2, 3, 4, 5])
def test_every_order_comes_equally_often(num_examples):
    possible = list(itertools.permutations(range(num_examples)))
    seen = [tuple(order) for order in orders(num_examples, max(5_000, 60 * len(possible)))]
    counts = [seen.count(order) for order in possible]
    assert sum(counts) == len(seen)
    if num_examples > 1:
        assert chi_square(counts) < bound(len(possible))


def test_an_order_is_another_for_every_epoch_and_seed():
    of_seeds = [order for seed in range(3) for order in read(20, 10, seed)]
    assert len(np.unique(of_seeds, axis=0)) == 30
