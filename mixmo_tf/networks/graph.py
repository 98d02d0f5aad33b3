"""A functional model's graph as a list of calls, and a part of it called anew.

Nested models are opened: what is called is a layer, or one of Keras' operations.
"""

import collections
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import keras


class Call(NamedTuple):
    """One call of a layer or an operation."""

    operation: keras.Operation
    args: tuple  # KerasTensors and plain values, in whatever lists and dicts
    kwargs: dict
    outputs: list  # of KerasTensor

    @property
    def inputs(self) -> list:
        """The KerasTensors among its arguments."""
        leaves = keras.tree.flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


class Graph(NamedTuple):
    """What a functional model computes."""

    calls: list[Call]  # each comes after those whose outputs it takes
    inputs: list  # of KerasTensor
    outputs: list
    named: dict[str, list]  # what each layer or nested model of a name gives, call by call


def read(model: keras.Model) -> Graph:
    """The graph of a functional or Sequential model that is built.

    A nested model that is called more than once stays closed, as its layers are shared.
    """
    meant = {}  # by a tensor's id: the one of a nested model, or around it, that it stands for
    calls, named = [], collections.defaultdict(list)

    def resolved(tensor):
        while id(tensor) in meant:
            tensor = meant[id(tensor)]
        return tensor

    def open_model(model):
        nodes = _nodes(model.outputs)
        times = collections.Counter(id(node.operation) for node in nodes)
        for node in nodes:
            operation = node.operation
            if isinstance(operation, keras.layers.InputLayer):
                continue
            if times[id(operation)] == 1 and len(getattr(operation, "inputs", None) or ()) == 1:
                meant[id(operation.inputs[0])] = node.input_tensors[0]
                open_model(operation)
                meant.update(zip(map(id, node.outputs), operation.outputs, strict=True))
            else:
                arguments = node.arguments.args, node.arguments.kwargs
                args, kwargs = _replaced(arguments, resolved)
                calls.append(Call(operation, args, kwargs, node.outputs))
            named[operation.name] += [resolved(output) for output in node.outputs]

    open_model(model)
    return Graph(calls, model.inputs, [resolved(output) for output in model.outputs], dict(named))


def needed(calls: Sequence[Call], target: keras.KerasTensor, known: Iterable) -> list[Call]:
    """Those of the calls, in order, that make `target` of the KerasTensors `known`."""
    stops = {id(tensor) for tensor in known}
    wanted, found = {id(target)} - stops, []
    for call in reversed(calls):
        if wanted & set(map(id, call.outputs)):
            found.append(call)
            wanted |= {id(tensor) for tensor in call.inputs} - stops
    return found[::-1]


def follow(
    calls: Sequence[Call], start: keras.KerasTensor, value: Any, end: Any, call: Callable
) -> Any:
    """Calls anew what lies between the KerasTensors `start` and `end`; gives what comes for `end`.

    Args:
        calls: what `needed` gives of them.
        value: KerasTensor of another graph, or a tensor, in the place of `start`.
        call: function (operation, *args, **kwargs) -> what it gives. It gets the KerasTensors of
            this graph that come from elsewhere, such as a seed, as they are.
    """
    values = {id(start): value}
    for operation, args, kwargs, outputs in calls:
        args, kwargs = _replaced((args, kwargs), lambda tensor: values.get(id(tensor), tensor))
        results = keras.tree.flatten(call(operation, *args, **kwargs))
        values.update(zip(map(id, outputs), results, strict=True))
    return values[id(end)]


def constants(call: Call) -> list[str]:
    """The plain values among the arguments of a call, such as a factor, as Python writes them."""
    leaves = keras.tree.flatten((call.args, call.kwargs))
    return [repr(leaf) for leaf in leaves if not isinstance(leaf, keras.KerasTensor)]


def _replaced(arguments, replacement):
    """Nested arguments with another tensor in place of each KerasTensor."""
    return keras.tree.map_structure(
        lambda leaf: replacement(leaf) if isinstance(leaf, keras.KerasTensor) else leaf, arguments
    )


def _nodes(tensors):
    """The nodes of Keras' graph that the tensors come of, each after those before it."""
    found, waiting = {}, [_node(tensor) for tensor in reversed(tensors)]
    while waiting:
        node = waiting[-1]
        before = [_node(tensor) for tensor in node.input_tensors]
        before = [each for each in before if id(each) not in found]
        if before and id(node) not in found:
            waiting += reversed(before)
        else:
            found.setdefault(id(node), waiting.pop())
    return list(found.values())


def _node(tensor):
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]
