"""The order of training is a uniform permutation, for every number of examples."""

import itertools
import math

import numpy as np
import pytest

from mixmo_tf.data import training_batches


def orders(num_examples, epochs, seed=0):
    """The orders of successive epochs, (epochs, N), as `fit` would read them."""
    examples = (np.arange(num_examples),)
    stream = training_batches(examples, num_examples, seed).as_numpy_iterator()
    return np.array([order for (order,) in itertools.islice(stream, epochs)])


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
    batch_size, seeds, distances = 16, 40, (1, 2, 4, 8)
    meetings = 0
    for seed in range(seeds):
        (order,) = orders(num_examples, 1, seed)
        batch = np.empty(num_examples, int)
        batch[order] = np.arange(num_examples) // batch_size
        meetings += sum(np.sum(batch[d:] == batch[:-d]) for d in distances)
    chance = (batch_size - 1) / (num_examples - 1)
    expected = seeds * sum(num_examples - d for d in distances) * chance
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
    of_seeds = [order for seed in range(3) for order in orders(20, 10, seed)]
    assert len(np.unique(of_seeds, axis=0)) == 30
