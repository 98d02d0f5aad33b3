"""Where the parts of a network are: by its names, and by what Keras' graph says."""

import ast
import pathlib
import re

import keras
import pytest
from small_models import tiny_network

from mixmo_tf import networks
from mixmo_tf.networks import graph, parts


def names(layers):
    return [layer.name for layer in layers]


def test_the_parts_of_a_network_with_members():
    network = networks.preact_resnet18(1, 3, 7, (16, 24, 3), filters=4)
    assert names(parts.encoders(network)) == ["encoder_0", "encoder_1", "encoder_2"]
    assert names(parts.heads(network)) == ["head_0", "head_1", "head_2"]
    assert [layer.name for layer in network.layers if parts.is_head(layer)] == [
        "head_0", "head_1", "head_2",
    ]  # fmt: skip
    until_mixing = [[call.operation for call in calls] for calls in parts.until_mixing(network)]
    assert list(map(names, until_mixing)) == [
        [f"encoder_{i}_padding", f"encoder_{i}"] for i in range(3)
    ]
    core = names(parts.core(network))
    assert core[0] == "group_1_block_0_norm_1" and core[-1] == "pool"
    weights = {id(v) for layer in network.layers for v in layer.variables}
    of_core, of_heads, of_encoders = (
        {id(v) for layer in layers for v in layer.variables}
        for layers in (parts.core(network), parts.heads(network), parts.encoders(network))
    )
    assert weights - of_core == of_heads | of_encoders
    assert parts.image_shape(network) == (16, 24, 3)
    assert parts.mask_size(network) == (8, 12)
    assert set(parts.inputs("abc", "d")) == set(network.input)
    assert parts.inputs("ab") == {"image_0": "a", "image_1": "b"}
    assert [tuple(each.shape) for each in parts.logits(network)] == [(None, 7)] * 3


def test_the_parts_of_a_plain_network():
    network = tiny_network(1)
    assert parts.until_mixing(network) == [] and parts.mask_size(network) == (1, 1)
    assert names(parts.encoders(network) + parts.heads(network)) == ["encoder_0", "head_0"]
    kinds = [type(layer).__name__ for layer in parts.core(network)]
    assert kinds == ["BatchNormalization", "ReLU", "GlobalAveragePooling2D"]
    plain = networks.preact_resnet18(1, 1, 7, (16, 16, 3), filters=4)
    assert names(parts.core(plain))[0] == "group_1_block_0_norm_1"
    assert set(parts.inputs(["a"])) == set(network.input)


def test_numbers_in_a_name():
    assert parts.numbers(parts.BLOCK, "group_3_block_10") == ("3", "10")
    assert parts.numbers(parts.BLOCK, "group_3_block_10_conv_1") is None
    assert parts.numbers("norm", "norm") == ()


def test_nobody_else_knows_the_names_and_the_graph():
    root = pathlib.Path(networks.__file__).parents[2]
    files = {*root.glob("mixmo_tf/**/*.py"), *root.glob("scripts/*.py")}
    for file in files - set(map(pathlib.Path, (parts.__file__, graph.__file__))):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else getattr(node, "attr", "")
            names = r"(image|encoder|head)_(\d+|\{\})?|_keras_history|_(in|out)bound_nodes"
            assert not (isinstance(text, str) and re.fullmatch(names, text)), (file, text)


def test_keras_graph_is_as_folding_reads_it():
    """A Keras that keeps its graph in other attributes than `parts` reads shows here."""
    image = keras.Input((8, 8, 3))
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    once = keras.layers.Conv2D(3, 3, name="once")
    first, second, both = (keras.layers.BatchNormalization() for _ in range(3))
    x = first(twice(image))
    x = second(once(twice(x)))
    both(both(x))
    assert parts.only_before(second) is once
    assert parts.only_before(first) is None  # `twice` feeds another layer too
    assert parts.only_before(both) is None  # two layers feed it
    assert parts.only_before(keras.layers.BatchNormalization()) is None  # none does
    sum_of_two = keras.layers.Add()
    sum_of_two([x, image[:, 1:-1, 1:-1]])
    assert parts.only_before(sum_of_two) is None


def test_logits_that_are_not_stacked_are_refused():
    image = keras.Input((8, 8, 3), name="image_0")
    logits = keras.layers.Dense(2 * 3)(keras.layers.Flatten()(image))
    network = keras.Model({"image_0": image}, keras.layers.Reshape((2, 3))(logits), name="own")
    with pytest.raises(ValueError, match="own is not from networks.build: its logits are not st"):
        parts.logits(network)


def test_a_core_gives_the_map_or_pools_it_itself():
    """The same network, and the same paths of weights, whoever pools."""

    def encoder(member, image):
        return keras.layers.Conv2D(4, 3, name=f"encoder_{member}")(image)

    def core(x):
        return keras.layers.Conv2D(5, 3, name="core")(x)

    def pooling(x):
        return keras.layers.GlobalAveragePooling2D(name="pool")(core(x))

    def build(core):
        return networks.build("own", encoder, core, 2, 3, (12, 12, 3), "he_normal")

    ours, theirs = build(core), build(pooling)
    assert names(ours.layers) == names(theirs.layers)
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    assert ours.get_layer("pool").input.shape == (None, 8, 8, 5)
    with pytest.raises(ValueError, match=r"core must give .*, got \(None, 8, 40\)"):
        build(lambda x: keras.layers.Reshape((8, 40))(core(x)))
