import numpy as np
import pytest
from small_models import as_if_trained, assert_same, tiny_model

import mixmo_tf
from mixmo_tf.training.fine_tuning import copy_weights


def preact(num_classes=4, num_members=2, filters=4, size=16):
    network = mixmo_tf.networks.preact_resnet18(
        1, num_members, num_classes, (size, size, 3), filters=filters
    )
    return mixmo_tf.MixMo(network)


def test_the_same_classes_take_over_everything(pixels_and_labels):
    images, _ = pixels_and_labels
    source, target = as_if_trained(tiny_model()), tiny_model()
    source.step.assign(5)
    assert copy_weights(source, target)
    np.testing.assert_array_equal(target(images), source(images))
    assert int(target.step.numpy()) == 0


def test_other_classes_get_new_heads():
    source, target = preact(num_classes=4), preact(num_classes=7, size=32)
    new_head = target.network.get_layer("head_1").get_weights()
    assert not copy_weights(source, target)
    for name in ("encoder_0", "encoder_1"):
        assert_same(*(m.network.get_layer(name).get_weights() for m in (source, target)))
    assert_same(new_head, target.network.get_layer("head_1").get_weights())


def test_heads_stay_new_where_the_names_of_the_classes_differ():
    source, same, others = (
        tiny_model(class_names=list(names)) for names in ("abcd", "abcd", "abce")
    )
    for layer in source.network.layers:
        layer.set_weights([weight + 1 for weight in layer.get_weights()])
    assert copy_weights(source, same) and not copy_weights(source, others)
    biases = [m.network.get_layer("head_0").get_weights()[1] for m in (source, same, others)]
    assert biases[0].tolist() == biases[1].tolist() != biases[2].tolist()


def test_another_architecture_is_named():
    target = preact()
    for source, message in (
        (preact(num_members=3), "another num_members: 3 there, 2 here"),
        (tiny_model(), "another network: tiny there, preact_resnet18_1 here"),
        (preact(filters=8), r"another layer encoder_0: \[\(3, 3, 3, 8\)\] there, \[\(3, 3, 3, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            copy_weights(source, target)


def test_a_deep_ensemble_has_no_one_network_to_start_from():
    ensemble = mixmo_tf.DeepEnsemble([tiny_model(), tiny_model()])
    with pytest.raises(ValueError, match="another number of networks: 2 there, 1 here"):
        copy_weights(ensemble, tiny_model())
