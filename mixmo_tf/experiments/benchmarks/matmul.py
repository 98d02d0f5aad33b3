"""What a device makes of products of large matrices, in one precision."""

import tensorflow as tf

from mixmo_tf.experiments.benchmarks.turns import take_turns

DTYPES = {  # by precision: of the numbers that are multiplied
    "float32": tf.float32,
    "tf32": tf.float32,  # rounded to 19 bits by the GPU's matrix units
    "mixed_bfloat16": tf.bfloat16,
    "mixed_float16": tf.float16,
}
_PRODUCTS = 20  # of a turn


def rates(precision: str, side: int, turns: int) -> list[float]:
    """Operations per second of each turn, of products (side, side)·(side, side)."""
    a, b = (
        tf.cast(tf.random.stateless_normal([side, side], [0, i]), DTYPES[precision])
        for i in range(2)
    )

    def multiply():
        for _ in range(_PRODUCTS):
            product = tf.matmul(a, b)
        product[0, 0].numpy()  # which waits for all of them

    wall, _ = take_turns({precision: multiply}, turns)
    return [_PRODUCTS * 2 * side**3 / seconds for seconds in wall[precision]]
