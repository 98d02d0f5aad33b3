"""The convolution and the batch norm that every residual network here is made of."""

from collections.abc import Callable

import keras

from mixmo_tf.networks.batch_norm import BatchNormalization

LAST = "channels_last"  # whatever Keras is set to: images come as (B, H, W, channels)
_STD_OF_TRUNCATED = 0.87962566103423978  # of N(0, 1) cut at ± 2; Keras divides by it


def he_truncated() -> keras.initializers.Initializer:
    """He et al.'s (2015) initializer, truncated, without a correction for it.

    The normal distribution of standard deviation √(2 / fan_in) is cut at ± 2 of its own, and
    not widened for it, so 0.88 of that deviation is left. Keras' `he_normal` widens it, as the
    published code of MixMo does.
    """
    return keras.initializers.VarianceScaling(
        scale=2 * _STD_OF_TRUNCATED**2, mode="fan_in", distribution="truncated_normal"
    )


def conv(
    filters: int, size: int, stride: int = 1, padding: str = "same", name: str | None = None
) -> Callable:
    """A convolution without bias, He-initialised.

    Args:
        size: side of the kernel.
        padding: "same" (TensorFlow's: on even sizes a stride of 2 pads bottom and right
            only), or "symmetric" (size // 2 on all sides, as PyTorch pads).

    Returns:
        function (B, H, W, channels) -> (B, ⌈H/stride⌉, ⌈W/stride⌉, filters).
    """
    symmetric = padding == "symmetric" and stride > 1  # at stride 1 both are the same
    convolution = keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="valid" if symmetric else "same",
        data_format=LAST,
        use_bias=False,
        kernel_initializer=he_truncated(),
        name=name,
    )
    if not symmetric:
        return convolution
    pad = keras.layers.ZeroPadding2D(size // 2, data_format=LAST, name=name and f"{name}_padding")
    return lambda x: convolution(pad(x))


def norm(x: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    """Batch norm."""
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def norm_relu(x: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    """Batch norm, then ReLU."""
    return keras.layers.ReLU(name=name and f"{name}_relu")(norm(x, name))
