"""A functional model's graph as calls: in order, nested models opened, parts of it called anew."""

import keras
import numpy as np
import pytest

from mixmo_tf.networks import graph

layers = keras.layers


def nested():
    """image → first → inner (a → b) → joined with what enters it → last."""
    image = keras.Input((4, 4, 3), name="pixels")
    inner = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.Conv2D(2, 1, name="a"), layers.ReLU(name="b")], name="inner"
    )
    x = layers.Conv2D(2, 1, name="first")(image)
    joined = layers.Add(name="joined")([x, inner(x) * 2.0])
    return keras.Model(image, layers.Flatten(name="last")(joined), name="outer")


def names(calls):
    return [call.operation.name for call in calls if isinstance(call.operation, layers.Layer)]


def test_nested_models_are_opened_and_calls_stand_in_order():
    model = nested()
    found = graph.read(model)
    assert names(found.calls) == ["first", "a", "b", "joined", "last"]
    (product,) = (c for c in found.calls if type(c.operation).__name__ == "Multiply")
    assert graph.constants(product) == ["2.0"]
    assert found.named["inner"] == found.named["b"] != found.named["a"]
    assert found.inputs[0] is model.inputs[0] and len(found.outputs) == 1
    made = {id(found.inputs[0])}
    for call in found.calls:
        assert {id(tensor) for tensor in call.inputs} <= made
        made |= {id(tensor) for tensor in call.outputs}


def test_a_nested_model_that_is_called_twice_stays_closed():
    image = keras.Input((4, 4, 3))
    twice = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(3, 1)], name="twice")
    found = graph.read(keras.Model(image, twice(twice(image))))
    assert names(found.calls) == ["twice", "twice"] and len(found.named["twice"]) == 2


def test_what_lies_between_two_tensors_is_called_anew():
    model = nested()
    found = graph.read(model)
    (first,), (image,) = found.named["first"], found.inputs
    assert names(graph.needed(found.calls, first, [image])) == ["first"]
    after = graph.needed(found.calls, found.outputs[0], [first])
    assert names(after) == ["a", "b", "joined", "last"]
    assert graph.needed(found.calls, image, [image]) == []

    start = keras.Input((4, 4, 2))
    called = []

    def call(operation, *args, **kwargs):
        called.append(operation)
        return operation(*args, **kwargs)

    end = graph.follow(after, first, start, found.outputs[0], call)
    assert called == [each.operation for each in after]
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    maps = model.get_layer("first")(images)
    np.testing.assert_allclose(keras.Model(start, end)(maps), model(images), rtol=1e-6)


def test_keras_graph_is_as_it_is_read():
    """A Keras that keeps its graph in other attributes shows here."""
    image = keras.Input((4,))
    dense = layers.Dense(3)
    output = dense(image)
    operation, index, position = output._keras_history
    assert (operation, index, position) == (dense, 0, 0)
    (node,) = dense._inbound_nodes
    assert node.operation is dense and node.outputs[0] is output
    assert node.input_tensors[0] is image and node.arguments.args[0] is image
    with pytest.raises(AttributeError):
        _ = image._keras_history.layer
