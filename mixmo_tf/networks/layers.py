"""The convolution and the batch norm that every residual network here is made of."""

import keras

from mixmo_tf.networks.batch_norm import BatchNormalization


def conv(filters, size, stride=1, padding="same", name=None):
    """A convolution without bias, He-initialised.

    Args:
        filters: int, output channels.
        size: int, side of the kernel.
        stride: int.
        padding: "same" (TensorFlow's: on even sizes a stride of 2 pads bottom and right
            only), or "symmetric" (size // 2 on all sides, as PyTorch pads).
        name: name of the convolution's layer.

    Returns:
        function (B, H, W, channels) -> (B, ⌈H/stride⌉, ⌈W/stride⌉, filters).
    """
    symmetric = padding == "symmetric" and stride > 1  # at stride 1 both are the same
    convolution = keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="valid" if symmetric else "same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )
    if not symmetric:
        return convolution
    pad = keras.layers.ZeroPadding2D(size // 2, name=name and f"{name}_padding")
    return lambda x: convolution(pad(x))


def norm(x, name=None):
    """Batch norm."""
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def norm_relu(x, name=None):
    """Batch norm, then ReLU."""
    return keras.layers.ReLU(name=name and f"{name}_relu")(norm(x, name))
