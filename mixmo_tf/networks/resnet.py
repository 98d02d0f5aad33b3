"""ResNet-18 and ResNet-50 for ImageNet (He et al. 2016; stride in the 3×3), with M members."""

from collections.abc import Sequence

import keras

from mixmo_tf.networks import members, parts, size
from mixmo_tf.networks.layers import LAST, conv, norm, norm_relu

GROUPS = ((64, 1), (128, 2), (256, 2), (512, 2))  # filters and first stride


def resnet18(
    num_members: int = 2, num_classes: int = 1000, image_shape: Sequence[int] = (224, 224, 3)
) -> keras.Model:
    """ResNet-18: four groups of two basic blocks; see `resnet50`."""
    return _resnet("resnet18", _basic_block, (2, 2, 2, 2), num_members, num_classes, image_shape)


def resnet50(
    num_members: int = 2, num_classes: int = 1000, image_shape: Sequence[int] = (224, 224, 3)
) -> keras.Model:
    """ResNet-50: four groups of 3, 4, 6 and 3 bottleneck blocks.

    Each member's encoder is a 7×7 convolution with 64 filters and stride 2; mixing comes right
    after it, before batch norm, ReLU and max-pool.

    Args:
        num_members: int M >= 1; 1 gives the plain network.
        num_classes: int C >= 2.
        image_shape: (H, W, channels).

    Returns:
        keras.Model; see `networks.build` for its inputs and output.

    Raises:
        ValueError: if an argument is out of range.
    """
    return _resnet("resnet50", _bottleneck, (3, 4, 6, 3), num_members, num_classes, image_shape)


def resnet_kernels(
    num_members: int, num_classes: int, image_shape: Sequence[int]
) -> list[size.Kernel]:
    """The encoders and heads, as `networks.size` counts them; the core is as in the paper.

    Raises:
        ValueError: if an argument is out of range.
    """
    members.check(num_members, num_classes, image_shape)
    height, width = map(size.halved, image_shape[:2])
    encoder = size.conv(7, image_shape[2], 64, height, width)
    return [encoder, size.conv(1, 512, num_classes, 1, 1)] * num_members


def _resnet(name, block, depths, num_members, num_classes, image_shape):
    def encoder(member, image):
        return conv(64, 7, 2, "symmetric", name=parts.ENCODER.format(member))(image)

    def core(x):
        # nothing is below 0
        padding = keras.layers.ZeroPadding2D(1, data_format=LAST, name="max_pool_padding")
        pool = keras.layers.MaxPooling2D(3, 2, data_format=LAST, name="max_pool")
        x = pool(padding(norm_relu(x, "norm")))
        for group, ((filters, stride), depth) in enumerate(
            zip(GROUPS, depths, strict=True), start=1
        ):
            for i in range(depth):
                x = block(x, filters, stride if i == 0 else 1, parts.BLOCK.format(group, i))
        return x

    initializer = keras.initializers.RandomNormal(stddev=0.01)
    return members.build(name, encoder, core, num_members, num_classes, image_shape, initializer)


def _basic_block(x, filters, stride, name):
    residual = conv(filters, 3, stride, "symmetric", name=f"{name}_conv_1")(x)
    residual = norm_relu(residual, f"{name}_norm_1")
    residual = norm(conv(filters, 3, name=f"{name}_conv_2")(residual), f"{name}_norm_2")
    return _add(x, residual, stride, name)


def _bottleneck(x, filters, stride, name):
    residual = norm_relu(conv(filters, 1, name=f"{name}_conv_1")(x), f"{name}_norm_1")
    residual = conv(filters, 3, stride, "symmetric", name=f"{name}_conv_2")(residual)
    residual = norm_relu(residual, f"{name}_norm_2")
    residual = norm(conv(4 * filters, 1, name=f"{name}_conv_3")(residual), f"{name}_norm_3")
    return _add(x, residual, stride, name)


def _add(x, residual, stride, name):
    """ReLU(shortcut + residual); a 1×1 convolution is the shortcut where the shape changes."""
    if stride != 1 or x.shape[-1] != residual.shape[-1]:
        x = conv(residual.shape[-1], 1, stride, name=f"{name}_shortcut")(x)
        x = norm(x, f"{name}_shortcut_norm")
    return keras.layers.ReLU(name=f"{name}_relu")(
        keras.layers.Add(name=f"{name}_add")([x, residual])
    )
