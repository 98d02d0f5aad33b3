import itertools

import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf.data import augmix, full_batches, training_batches
from mixmo_tf.data.stream import Shares, evaluation_batches, training_batches_from


def take(dataset, count):
    return [tuple(map(np.array, batch)) for batch in itertools.islice(dataset, count)]


def arrays(num_examples):
    labels = np.arange(num_examples)
    return np.repeat(labels[:, None], 4, axis=1).astype(np.uint8), labels


def test_an_epoch_visits_every_example_once():
    batches = take(training_batches(arrays(48), 16, seed=3), 6)
    for epoch in (batches[:3], batches[3:]):
        np.testing.assert_array_equal(np.sort(np.concatenate([b[1] for b in epoch])), np.arange(48))
    assert not np.array_equal(batches[0][1], batches[3][1])  # each epoch has its own order
    for images, labels in batches:
        np.testing.assert_array_equal(images[:, 0], labels)  # images keep their labels


def test_the_incomplete_batch_of_an_epoch_changes():
    batches = take(training_batches(arrays(40), 16, seed=0), 20)
    left_out = [
        tuple(sorted(set(range(40)) - set(np.concatenate([b[1] for b in batches[i : i + 2]]))))
        for i in range(0, 20, 2)
    ]
    assert all(len(examples) == 8 for examples in left_out)
    assert len(set(left_out)) == 10


def test_the_order_is_a_function_of_seed_and_step():
    whole = take(training_batches(arrays(48), 16, seed=3), 7)
    resumed = take(training_batches(arrays(48), 16, seed=3, start_step=4), 3)
    for ours, theirs in zip(resumed, whole[4:], strict=True):
        np.testing.assert_array_equal(ours[1], theirs[1])
    other = take(training_batches(arrays(48), 16, seed=4), 1)
    assert not np.array_equal(other[0][1], whole[0][1])


def test_an_epoch_may_begin_at_any_step():
    epoch = take(training_batches(arrays(48), 16, seed=3, start_step=4, epoch_start=4), 3)
    np.testing.assert_array_equal(np.sort(np.concatenate([b[1] for b in epoch])), np.arange(48))
    rest = take(training_batches(arrays(48), 16, seed=3, start_step=6, epoch_start=4), 1)
    np.testing.assert_array_equal(rest[0][1], epoch[2][1])


def test_without_shuffle_the_order_is_that_of_the_arrays():
    batches = take(training_batches(arrays(40), 16, seed=0, shuffle=False), 3)
    np.testing.assert_array_equal(batches[1][1], np.arange(16, 32))
    np.testing.assert_array_equal(batches[2][1], np.arange(16))


def test_full_batches_drops_only_incomplete_ones():
    dataset = tf.data.Dataset.from_tensor_slices(arrays(40))
    assert [len(b[1]) for b in full_batches(dataset.batch(16))] == [16, 16]
    assert [len(b[1]) for b in full_batches(dataset.batch(20))] == [20, 20]
    fixed = dataset.batch(16, drop_remainder=True)
    assert full_batches(fixed, replicas=2) is fixed


def test_replicas_must_get_equal_shares():
    dataset = tf.data.Dataset.from_tensor_slices(arrays(40))
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 2 replicas, got 5"):
        full_batches(dataset.batch(5, drop_remainder=True), replicas=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a multiple of the 2 replicas"):
        take(full_batches(dataset.batch(5), replicas=2), 1)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match=r"batch_size must be in \[1, 10\].* got 11"):
        training_batches(arrays(10), 11, seed=0)
    with pytest.raises(ValueError, match="arrays must be of one length"):
        training_batches((np.zeros(3), np.zeros(4)), 2, seed=0)


@pytest.mark.parametrize("decode", [None, lambda *row: row])
def test_shares_make_up_the_batches(decode):
    """Two workers, one with one replica, one with two."""
    whole = take(training_batches(arrays(48), 6, seed=3, start_step=2), 8)
    first, others = (
        take(
            training_batches(arrays(48), 6, seed=3, start_step=2, decode=decode, shares=shares),
            8 * shares.held,
        )
        for shares in (Shares(3, 0, 1), Shares(3, 1, 2))
    )
    for step, (_, labels) in enumerate(whole):
        parts = [first[step], others[2 * step], others[2 * step + 1]]
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), labels)


@pytest.mark.parametrize("decode", [None, lambda *row: row])
@pytest.mark.parametrize("num_examples", [1, 16, 17, 37])
def test_shares_of_an_evaluation_hold_each_example_once(num_examples, decode):
    elements = [
        take(evaluation_batches(arrays(num_examples), 8, decode=decode, shares=Shares(3, i, 1)), 99)
        for i in range(3)
    ]
    assert {len(share) for share in elements} == {-(-num_examples // 8)}  # no worker waits
    seen = [labels for share in elements for _, labels in share]
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(num_examples))


def test_rows_have_seeds_of_their_own_whoever_reads_them():
    def seeds(**options):
        return take(training_batches(arrays(12), 6, seed=3, row_seeds=True, **options), 4)

    whole = np.array([batch[-1] for batch in seeds()])
    assert whole.shape == (4, 6, 2) and len(np.unique(whole.reshape(24, 2), axis=0)) == 24
    np.testing.assert_array_equal([batch[-1] for batch in seeds(start_step=2)[:2]], whole[2:])
    second = np.array([batch[-1] for batch in seeds(shares=Shares(2, 1, 1))])
    np.testing.assert_array_equal(second, whole[:, 3:])


def test_nothing_is_tuned():
    """The end of what is tuned may be waited for; the tests themselves would not show it."""
    images, labels = np.zeros((8, 8, 8, 3), np.uint8), np.zeros(8, np.int64)
    datasets = [training_batches((images, labels), 4, 0), evaluation_batches((images, labels), 4)]
    datasets += [
        training_batches_from(lambda: 0, (images, labels), 4, 0),
        augmix(datasets[0]),
    ]
    assert all(dataset.options().autotune.enabled is False for dataset in datasets)
