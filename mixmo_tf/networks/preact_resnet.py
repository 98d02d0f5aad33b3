"""Pre-activation ResNet-18 (He et al. 2016), with M members."""

from collections.abc import Sequence

import keras

from mixmo_tf import arguments
from mixmo_tf.networks import members, parts, size
from mixmo_tf.networks.layers import conv, norm_relu


def preact_resnet18(
    width: int,
    num_members: int = 2,
    num_classes: int = 200,
    image_shape: Sequence[int] = (64, 64, 3),
    filters: int = 64,
) -> keras.Model:
    """PreActResNet-18-`width`: four groups of two blocks, no batch norm after the last.

    Each member's encoder is a 3×3 convolution with stride 2, so mixing happens at half the
    image's size.

    Args:
        width: int >= 1; the groups have filters·width·(1, 2, 4, 8) filters.
        num_members: int M >= 1; 1 gives the plain network.
        num_classes: int C >= 2.
        image_shape: (H, W, channels).
        filters: int, filters of the encoder.

    Returns:
        keras.Model; see `networks.build` for its inputs and output.

    Raises:
        ValueError: if an argument is out of range, or the weights do not fit into memory.
    """
    kernels = preact_resnet18_kernels(width, num_members, num_classes, image_shape, filters)
    what = f"a preact_resnet18 of width {width}, {filters} filters, {num_classes} classes"
    size.check_memory(what, size.BYTES * size.parameters(kernels))

    def encoder(member, image):
        return conv(filters, 3, 2, "symmetric", name=parts.ENCODER.format(member))(image)

    def core(x):
        for group, (multiple, stride) in enumerate(((1, 1), (2, 2), (4, 2), (8, 2)), start=1):
            for block in range(2):
                name = parts.BLOCK.format(group, block)
                x = _block(x, filters * width * multiple, stride if block == 0 else 1, name)
        return x

    name, initializer = f"preact_resnet18_{width}", keras.initializers.RandomNormal(stddev=0.01)
    return members.build(name, encoder, core, num_members, num_classes, image_shape, initializer)


def preact_resnet18_kernels(
    width: int, num_members: int, num_classes: int, image_shape: Sequence[int], filters: int
) -> list[size.Kernel]:
    """What the network will consist of, as `networks.size` counts it.

    Raises:
        ValueError: if an argument is out of range.
    """
    arguments.count("width", width, 1)
    arguments.count("filters", filters, 1)
    members.check(num_members, num_classes, image_shape)
    height, across, channels = (*map(size.halved, image_shape[:2]), image_shape[2])
    kernels = [size.conv(3, channels, filters, height, across)] * num_members
    inputs = filters
    for multiple, stride in ((1, 1), (2, 2), (4, 2), (8, 2)):
        outputs = filters * width * multiple
        if stride == 2:
            height, across = size.halved(height), size.halved(across)
        first = size.conv(3, inputs, outputs, height, across)
        other = size.conv(3, outputs, outputs, height, across)
        changes = stride == 2 or inputs != outputs
        kernels += [first, *[size.conv(1, inputs, outputs, height, across)] * changes]
        kernels += [other] * 3
        inputs = outputs
    return kernels + [size.conv(1, inputs, num_classes, 1, 1)] * num_members


def _block(x, filters, stride, name):
    activated = norm_relu(x, f"{name}_norm_1")
    residual = conv(filters, 3, stride, "symmetric", f"{name}_conv_1")(activated)
    residual = conv(filters, 3, name=f"{name}_conv_2")(norm_relu(residual, f"{name}_norm_2"))
    if stride != 1 or x.shape[-1] != filters:
        x = conv(filters, 1, stride, name=f"{name}_shortcut")(activated)
    return keras.layers.Add(name=f"{name}_add")([x, residual])
