"""Backbones by name: the models of keras.applications, as `--network=backbone:NAME` takes them."""

import difflib
import sys
from collections.abc import Sequence

import keras
import numpy as np

from mixmo_tf import arguments

PREFIX = "backbone:"


def is_backbone(network: str) -> bool:
    """Whether a network's name, such as "backbone:MobileNetV3Small", is that of a backbone."""
    return network.startswith(PREFIX)


def names() -> list[str]:
    """The models of keras.applications."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def check_name(network: str) -> None:
    """Raises ValueError unless "backbone:NAME" has a NAME of keras.applications."""
    name = network.removeprefix(PREFIX)
    if name not in names():
        by_small = {each.lower(): each for each in names()}
        near = difflib.get_close_matches(name.lower(), by_small, n=4, cutoff=0.5)
        found = [by_small[each] for each in near] or names()
        raise ValueError(
            f"network must be {PREFIX}NAME with a model of keras.applications, such as "
            f"{', '.join(found)}, got {name!r}"
        )


def build(network: str, image_shape: Sequence[int], weights: str | None = None) -> keras.Model:
    """The model without its top.

    Args:
        network: "backbone:NAME".
        image_shape: (H, W, channels).
        weights: "imagenet", which Keras downloads, or None for new ones.

    Raises:
        ValueError: if it does not take such images; the message says which it takes, if Keras does.
    """
    function = getattr(keras.applications, network.removeprefix(PREFIX))
    height, width, channels = image_shape
    try:
        return function(include_top=False, weights=weights, input_shape=tuple(image_shape))
    except ValueError as error:
        said = arguments.first_line(error)
        _, at_least, rest = said.partition("Input size must be at least ")
        needs = f"images of at least {rest.split(';')[0].replace('x', '×')}" if at_least else ""
        raise ValueError(
            f"network={network} takes {needs}, got {height}×{width}"
            if needs
            else f"network={network} does not take images of {height}×{width}×{channels}: {said}"
        ) from error


def pixels_of(network: str) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """How the pretrained model wants its pixels, as its `preprocess_input` says.

    Returns:
        mean, std: per channel, of pixels scaled to [0, 1], red first.
        is_reversed: bool, whether the model takes blue first.
    """
    function = getattr(keras.applications, network.removeprefix(PREFIX))
    preprocess = sys.modules[function.__module__].preprocess_input
    pixels = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], np.float32)
    black, white, red = np.array(preprocess(pixels[None, None].copy()))[0, 0].astype(float)
    is_reversed = bool(red[0] == black[0])  # red changes the last channel, not the first
    if is_reversed:
        black, white = black[::-1], white[::-1]
    scale = white - black
    return tuple((-black / scale).tolist()), tuple((1 / scale).tolist()), is_reversed
