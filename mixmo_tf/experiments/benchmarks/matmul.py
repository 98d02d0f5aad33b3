"""What a device makes of products of large matrices, in each precision."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from mixmo_tf.experiments.benchmarks.turns import take_turns

DTYPES = {  # by precision: of the numbers that are multiplied
    "float32": tf.float32,
    "tf32": tf.float32,  # of which the GPU's matrix units take 19 bits
    "mixed_bfloat16": tf.bfloat16,
    "mixed_float16": tf.float16,
}
_PRODUCTS = 20  # of a turn


@contextlib.contextmanager
def as_in(precision: str) -> Iterator[None]:
    """Under it, GPUs multiply float32 as TensorFloat-32 if that is the precision, and only then."""
    tf32 = tf.config.experimental
    before = tf32.tensor_float_32_execution_enabled()
    tf32.enable_tensor_float_32_execution(precision == "tf32")
    try:
        yield
    finally:
        tf32.enable_tensor_float_32_execution(before)


def rates(precisions: Sequence[str], side: int, turns: int) -> dict[str, list[float]]:
    """Operations per second of each turn, by precision, of products (side, side)·(side, side)."""
    wall, _ = take_turns({name: _products(name, side) for name in precisions}, turns)
    operations = _PRODUCTS * 2 * side**3
    return {name: [operations / turn for turn in seconds] for name, seconds in wall.items()}


def _products(precision, side) -> Callable[[], None]:
    a, b = (
        tf.cast(tf.random.stateless_normal([side, side], [0, i]), DTYPES[precision])
        for i in range(2)
    )

    def multiply():
        with as_in(precision):
            for _ in range(_PRODUCTS):
                product = tf.matmul(a, b)
            product[0, 0].numpy()  # which waits for all of them

    return multiply
