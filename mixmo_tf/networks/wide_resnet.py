"""Wide ResNet (Zagoruyko and Komodakis 2016), with M members."""

from collections.abc import Sequence

import keras

from mixmo_tf import arguments
from mixmo_tf.networks import members, parts, size
from mixmo_tf.networks.layers import conv, he_truncated, norm_relu

DEEPEST = 1204  # about as deep as ResNet-1202, the deepest published


def wide_resnet(
    depth: int,
    width: int,
    num_members: int = 2,
    num_classes: int = 10,
    image_shape: Sequence[int] = (32, 32, 3),
) -> keras.Model:
    """WRN-`depth`-`width`: three groups of (depth - 4) / 6 blocks.

    Each member's encoder is a 3×3 convolution with 16 filters; mixing comes right after it.

    Args:
        depth: int, 6k + 4 with k >= 1, as in WRN-28-10.
        width: int >= 1; the groups have 16, 32 and 64 times as many filters.
        num_members: int M >= 1; 1 gives the plain network.
        num_classes: int C >= 2.
        image_shape: (H, W, channels).

    Returns:
        keras.Model; see `networks.build` for its inputs and output.

    Raises:
        ValueError: if an argument is out of range, or the weights do not fit into memory.
    """
    kernels = wide_resnet_kernels(depth, width, num_members, num_classes, image_shape)
    what = f"a wide_resnet of depth {depth}, width {width}, {num_classes} classes"
    size.check_memory(what, size.BYTES * size.parameters(kernels))

    def encoder(member, image):
        return conv(16, 3, name=parts.ENCODER.format(member))(image)

    def core(x):
        for group, (filters, stride) in enumerate(((16, 1), (32, 2), (64, 2)), start=1):
            for block in range((depth - 4) // 6):
                name = parts.BLOCK.format(group, block)
                x = _block(x, filters * width, stride if block == 0 else 1, name)
        return norm_relu(x, "norm")

    name, initializer = f"wide_resnet_{depth}_{width}", he_truncated()
    return members.build(name, encoder, core, num_members, num_classes, image_shape, initializer)


def wide_resnet_kernels(
    depth: int, width: int, num_members: int, num_classes: int, image_shape: Sequence[int]
) -> list[size.Kernel]:
    """What the network will consist of, as `networks.size` counts it.

    Raises:
        ValueError: if an argument is out of range.
    """
    arguments.count("depth", depth, 10, DEEPEST)
    if depth % 6 != 4:
        raise ValueError(f"depth of a wide_resnet must be 10, 16, 22, 28, …, got {depth}")
    arguments.count("width", width, 1)
    members.check(num_members, num_classes, image_shape)
    height, across, channels = image_shape
    kernels = [size.conv(3, channels, 16, height, across)] * num_members
    inputs = 16
    for base, stride in ((16, 1), (32, 2), (64, 2)):
        outputs = base * width
        first = size.conv(3, inputs, outputs, height, across)
        if stride == 2:
            height, across = size.halved(height), size.halved(across)
        other = size.conv(3, outputs, outputs, height, across)
        shortcut = [size.conv(1, inputs, outputs, height, across)] * (inputs != outputs)
        kernels += [first, *shortcut] + [other] * (2 * (depth - 4) // 6 - 1)
        inputs = outputs
    return kernels + [size.conv(1, inputs, num_classes, 1, 1)] * num_members


def _block(x, filters, stride, name):
    residual = conv(filters, 3, name=f"{name}_conv_1")(norm_relu(x, f"{name}_norm_1"))
    residual = norm_relu(residual, f"{name}_norm_2")
    residual = conv(filters, 3, stride, name=f"{name}_conv_2")(residual)
    if stride != 1 or x.shape[-1] != filters:
        x = conv(filters, 1, stride, name=f"{name}_shortcut")(x)
    return keras.layers.Add(name=f"{name}_add")([x, residual])
