import numpy as np
import pytest
from small_models import assert_same

from mixmo_tf.deployment import load_torch_state, torch_state
from mixmo_tf.networks import preact_resnet18, resnet18, wide_resnet


def state_of(case):
    names = [name for name in case.files if name.startswith("state/")]
    return {name.removeprefix("state/"): case[name] for name in names}


@pytest.mark.parametrize(
    "name, network",
    [
        ("wide_resnet_10_1_m2", lambda: wide_resnet(10, 1, 2, 10)),
        ("wide_resnet_16_1_m3", lambda: wide_resnet(16, 1, 3, 7)),
        ("preact_resnet18_8_m2", lambda: preact_resnet18(1, 2, 12, filters=8)),
    ],
)
def test_the_published_state_comes_back_bit_for_bit(reference, name, network):
    state, network = state_of(reference(name)), network()
    load_torch_state(network, state)
    back = torch_state(network)
    assert set(state) <= set(back)
    for key, array in back.items():
        if "num_batches" not in key:
            np.testing.assert_array_equal(array, state[key], err_msg=key)
    assert len([key for key in back if "num_batches" in key]) == len(
        [key for key in back if "running_mean" in key]
    )
    again = network.get_weights()
    load_torch_state(network, back)
    assert_same(again, network.get_weights())


def test_a_plain_network_has_one_convolution_and_one_head():
    state = torch_state(wide_resnet(10, 1, num_members=1, num_classes=5))
    assert state["conv1.weight"].shape == (16, 3, 3, 3)
    assert state["fc.weight"].shape == (5, 64) and state["fc.bias"].shape == (5,)
    assert state["layer2.0.shortcut.0.weight"].shape == (32, 16, 1, 1)
    counters = [key for key in state if "num_batches" in key]
    assert counters == sorted(counters)  # a file is the same whenever it is written


def test_more_than_ten_blocks_in_a_group(quick_weights):
    state = torch_state(wide_resnet(70, 1, num_members=1, num_classes=5))
    assert "layer3.10.conv2.weight" in state and "layer1.10.bn1.num_batches_tracked" in state


def test_what_does_not_fit_is_listed_and_changes_nothing(reference):
    state = state_of(reference("wide_resnet_10_1_m2"))
    network = wide_resnet(10, 1, 2, 10)
    before = network.get_weights()
    short = {name: array for name, array in state.items() if name != "bn1.weight"}
    with pytest.raises(ValueError, match="missing: bn1.weight; left over: extra.weight"):
        load_torch_state(network, {**short, "extra.weight": np.zeros(3)})
    with pytest.raises(ValueError, match=r"bn1.weight does not fit .*\(3,\) there, \(64,\) here"):
        load_torch_state(network, {**state, "bn1.weight": np.zeros(3)})
    assert_same(network.get_weights(), before)
    with pytest.raises(ValueError, match="the published code has no resnet18"):
        torch_state(resnet18(2, 5, (32, 32, 3)))
