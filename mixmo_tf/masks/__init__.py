"""Mixing blocks: the mask of each member over the feature map.

A block draws where one member, the holder of the patch, is seen. The others share the rest in
proportion to their ratios. A new one is a file with its function, and a line in `BLOCKS`; one that
is not of this package gets its line from `register`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from mixmo_tf import arguments, seeds
from mixmo_tf.masks import boxes, cow, fmix, patchup, trial
from mixmo_tf.seeds import Seed


@dataclasses.dataclass(frozen=True)
class Block:
    """A mixing block.

    Attributes:
        draw: function (ratio (B,), (h, w), seed int32 (2,)) -> the patch, float32 (B, h, w).
        what: what the patch is, in a few words, for --help and README.
    """

    draw: Callable
    what: str


def linear(ratio: tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """The constant ratio everywhere; draws nothing."""
    del seed
    return tf.broadcast_to(ratio[:, None, None], [tf.shape(ratio)[0], *size])


BLOCKS = {
    "linear": Block(linear, "its ratio at every pixel"),
    "cutmix": Block(boxes.cutmix, "a box"),
    "patchup": Block(patchup.draw, "square holes in random places"),
    "cow": Block(cow.draw, "blobs of blurred noise"),
    "fmix": Block(fmix.draw, "shapes of low frequency"),
    "horizontal_concat": Block(boxes.horizontal_concat, "the left or the right part"),
    "vertical_concat": Block(boxes.vertical_concat, "the upper or the lower part"),
}
NAMES = tuple(BLOCKS)
_OF_THE_PACKAGE = NAMES


class MissingBlockError(ValueError):
    """A model was saved with a block that is not registered here; the message names it."""


def draw(name: str, ratios: arguments.Array, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """Draws the members' masks with the block called `name`.

    One member per row, each with the same chance, holds the patch that the block draws for
    its ratio. The others share the complement in proportion to their ratios.

    Args:
        name: one of `NAMES`.
        ratios: float32 (B, M), on the simplex, M >= 2.
        size: (h, w) of the feature map.
        seed: int32 (2,).

    Returns:
        float32 (B, h, w, M), summing to 1 over the members at every pixel.

    Raises:
        ValueError: if `name` is unknown, M = 1, or an argument is of another kind or shape.
    """
    arguments.one_of("mixing", name, NAMES)
    arguments.size("size", size)
    ratios = arguments.tensor("ratios", ratios, "float (B, M)", (None, None))
    batch_size, num_members = tf.shape(ratios)[0], ratios.shape[1]
    arguments.at_least("num_members of a mixing block", num_members, 2)
    holder_seed, block_seed = seeds.split(seed, 2)
    holder = tf.one_hot(seeds.integers([batch_size], holder_seed, num_members), num_members)
    patch = BLOCKS[name].draw(tf.reduce_sum(holder * ratios, axis=1), size, block_seed)
    return share(patch, holder, ratios)


def register(name: str, function: Callable, what: str = "a block of your own") -> Callable:
    """Gives a block of one's own a name, like those of the package: a line in `BLOCKS`.

        def checker(ratio, size, seed):
            rows, columns = tf.meshgrid(tf.range(size[0]), tf.range(size[1]), indexing="ij")
            first = mixmo_tf.seeds.integers([tf.shape(ratio)[0], 1, 1], seed, 2)
            return tf.cast((rows + columns + first) % 2, tf.float32)  # (B, h, w)

        mixmo_tf.masks.register("checker", checker)
        model = mixmo_tf.MixMo(network, mixing="checker")  # mixing=checker does both

    It is tried once, on a small map. A saved model holds the name alone, so the block must be
    registered before the model is loaded in another process.

    Args:
        name: of letters, digits and _, and none of the package's blocks. A name that was registered
            before means the new function from then on.
        function: (ratio (B,), (h, w), seed) -> patch: float32, how much of the map the patch is to
            have; two int; int32 (2,), from which alone it draws, see `seeds` -> float32
            (B, h, w) in [0, 1]. It must be made of TensorFlow's operations, of those that XLA
            compiles where XLA is on, and work where B is not known: `tf.shape(ratio)[0]`.
        what: what the patch is, in a few words.

    Returns:
        function.

    Raises:
        ValueError: if `name` is another, or the function gives something else on the small map.
    """
    global NAMES
    arguments.text("name", name)
    if not name.isidentifier() or name in ("none", *_OF_THE_PACKAGE):
        raise ValueError(
            f"name must be of letters, digits and _, and none of {', '.join(_OF_THE_PACKAGE)}, "
            f"none; got {name!r}"
        )
    trial.check(name, function)
    BLOCKS[name] = Block(function, what)
    NAMES = tuple(BLOCKS)
    return function


def name_of(function: Callable) -> str:
    """The name of a block's function; one without is registered under the function's own name.

    Raises:
        ValueError: see `register`; or if the function has no name, as a lambda, or that of another
            one, from elsewhere. The same one defined anew, as in a notebook, takes its place.
    """
    for name, block in BLOCKS.items():
        if block.draw == function:
            return name
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise ValueError(
            "mixing must be a function with a name, or one that mixmo_tf.masks.register(name, "
            f"function) gave one, got {arguments.brief(function)}"
        )
    others = {each: block.draw for each, block in BLOCKS.items() if each not in _OF_THE_PACKAGE}
    if name in others and _place(others[name]) != _place(function):
        raise ValueError(
            f"mixing block {name!r} is another function already, which models may use: give this "
            "one a name of its own with mixmo_tf.masks.register(name, function)"
        )
    register(name, function)
    return name


def _place(function):
    """Where a function is defined."""
    return getattr(function, "__module__", None), getattr(function, "__qualname__", None)


def check_registered(name: Any) -> None:
    """Raises MissingBlockError where a saved model names a block that is not in `BLOCKS`."""
    if isinstance(name, str) and name not in ("none", *BLOCKS):
        raise MissingBlockError(
            f"its mixing block {name!r} is not registered here: call mixmo_tf.masks.register("
            f"{name!r}, function), then load it again"
        )


def share(patch: tf.Tensor, holder: tf.Tensor, ratios: tf.Tensor) -> tf.Tensor:
    """Gives the patch to its holder and the complement to the other members.

    Args:
        patch: float (B, h, w), in [0, 1].
        holder: float (B, M), one-hot.
        ratios: float (B, M); the others share in proportion to theirs.

    Returns:
        float (B, h, w, M).
    """
    others = (1 - holder) * (ratios + 1e-30)  # if all others are 0, they share alike
    others /= tf.reduce_sum(others, axis=1, keepdims=True)
    patch = patch[..., None]
    return patch * holder[:, None, None] + (1 - patch) * others[:, None, None]
