import numpy as np
import pytest
from small_models import tiny_network

from mixmo_tf import evaluation, networks


def test_norms_by_hand():
    network = networks.wide_resnet(10, 1, num_members=3)
    norms = evaluation.encoder_norms(network)
    assert norms.shape == (3, 16)
    kernel = network.get_layer("encoder_1").kernel.numpy()  # (3, 3, 3, 16)
    assert norms[1, 5] == pytest.approx(np.abs(kernel[:, :, :, 5]).sum(), rel=1e-6)


def test_separate_and_shared_filters():
    assert evaluation.split_score([[2.0, 0, 3], [0, 1, 0]]) == 1
    assert evaluation.split_score([[2.0, 1, 3], [2, 1, 3], [2, 1, 3]]) == pytest.approx(0)
    # shares 3/4 and 1/2, the first filter of weight 4, the second of weight 2
    by_hand = (4 * (2 * 3 / 4 - 1) + 2 * (2 * 1 / 2 - 1)) / 6
    assert evaluation.split_score([[3.0, 1], [1, 1]]) == pytest.approx(by_hand)


def test_a_plain_network_has_nothing_to_split():
    with pytest.raises(ValueError, match="the network must have two encoders or more, got 1"):
        evaluation.encoder_norms(tiny_network(1))
