"""What a run's first step shows the network, as a picture in TensorBoard."""

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mixmo_tf import data, draws, plots, ratios, seeds
from mixmo_tf.models.mixmo import MixMo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 2  # of a sheet


def sheets(
    model: MixMo, examples: data.Examples | data.Records, batch_size: int
) -> dict[str, "Figure"]:
    """The first rows of the first batch: images, masks, what is mixed, ratios and loss weights.

    There is one as the binary block would mix them and one as `linear` would, since each batch gets
    one of the two; with augmentation and MSDA, without AugMix. It is drawn from the seeds of step 0
    (of the first replica), so it takes no random number from training.

    Returns:
        dict of Figure by the mixing block's name; empty where nothing is mixed, or images have
        neither one channel nor three.
    """
    if model.num_members == 1 or model.image_shape[2] not in (1, 3):
        return {}
    size = batch_size // model.distribute_strategy.num_replicas_in_sync
    ((images, labels),) = examples.training_batches(batch_size, model.seed).take(1)
    blocks = {"linear": 0.0} if model.mixing == "linear" else {model.mixing: 1.0, "linear": 0.0}
    return {
        block: _sheet(model, images[:size], labels[:size], block, probability)
        for block, probability in blocks.items()
    }


def _sheet(model, images, labels, block, probability):
    seed = seeds.step_seed(model.seed, tf.constant(0, tf.int64), 0)
    drawn = model.draw(tf.shape(images)[0], seed, probability)
    drawn = _first_rows(drawn)
    members, _, _ = model.members_of(images, labels, None, drawn)  # (rows, M, H, W, channels)
    pixels = members.numpy() * np.float32(model.std) + np.float32(model.mean)
    weights = ratios.loss_weights(tf.reduce_mean(drawn.masks, axis=[1, 2]), model.weight_root)
    numbers = map(np.asarray, (drawn.masks, drawn.ratios, weights))
    return plots.mixing_masks(pixels, *numbers, f"--mixing={block}")


def _first_rows(drawn: draws.Draws) -> draws.Draws:
    """What is drawn for the first rows alone, as all of them may take gigabytes."""
    return tf.nest.map_structure(
        lambda part: part[:_ROWS] if part is not None and part.shape.rank else part, drawn
    )
