"""How much memory a network takes at least, told before it is built.

A network is listed as its convolutions and heads; biases and batch norm, below a hundredth of
it, are left out. What does not fit into the machine's memory is refused: building it would end
the process, or everything else on the machine.
"""

import math
import os
from collections.abc import Iterable
from typing import NamedTuple

import keras
import tensorflow as tf

from mixmo_tf.networks import graph

BYTES = 4  # of a float32
TRAINING = 3  # times the operations of a forward pass: gradients of weights, and of what came in


class Kernel(NamedTuple):
    """A convolution, or a dense layer: of one row it gives `pixels`·`outputs` numbers."""

    weights: int
    outputs: int
    pixels: int


def conv(side: int, inputs: int, outputs: int, height: int, width: int) -> Kernel:
    """A convolution with a square kernel whose output has `height` × `width` pixels."""
    return Kernel(side**2 * inputs * outputs, outputs, height * width)


def of_layers(network: keras.Model) -> list[Kernel]:
    """The layers with kernels of a network that is built, nested ones too."""
    calls = [call for call in graph.read(network).calls if getattr(call.operation, "weights", ())]
    return [
        Kernel(sum(map(_count, call.operation.weights)), _count(call.outputs[0], 1), 1)
        for call in calls
        if any(len(weight.shape) > 1 for weight in call.operation.weights)
    ]


def parameters(kernels: Iterable[Kernel]) -> int:
    """How many weights there are."""
    return sum(kernel.weights for kernel in kernels)


def activations(kernels: Iterable[Kernel]) -> int:
    """How many numbers a training step keeps of each row, at least."""
    return sum(kernel.outputs * kernel.pixels for kernel in kernels)


def operations(kernels: Iterable[Kernel]) -> int:
    """Of a forward pass of one row; a multiplication and an addition are two."""
    return 2 * sum(kernel.weights * kernel.pixels for kernel in kernels)


def halved(side: int) -> int:
    """A side of the map after a stride of 2."""
    return -(-side // 2)


def check_step(what: str, num_bytes: int) -> None:
    """`check_memory` of a training step; what a GPU keeps of it is not the machine's to hold."""
    if not tf.config.list_physical_devices("GPU"):
        check_memory(what, num_bytes)


def check_memory(what: str, num_bytes: int) -> None:
    """Raises ValueError if `num_bytes` are more than the machine has."""
    there = _memory()
    if there and num_bytes > there:
        raise ValueError(
            f"{what} would take {num_bytes / 2**30:,.1f} GiB of memory or more, "
            f"of {there / 2**30:,.1f} GiB"
        )


def _count(array, first_axis=0):
    """How many numbers are in an array, or in one row of it; an open size counts as 1."""
    return math.prod(side or 1 for side in array.shape[first_axis:])


def _memory():
    """Bytes of memory that this machine has; None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
