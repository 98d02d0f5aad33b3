"""
Title: MixMo on CIFAR-10
Author: The contributors of mixmo_tf
Date created: 2026/11/29
Last modified: 2026/11/29
Description: Two subnetworks in one small ResNet: what they see, and what their ensemble is worth.
Accelerator: None
"""

"""
## What happens here

A network with two encoders, one core and two heads is trained on pairs of images: each image
passes its own encoder, the two are mixed by a mask, and each head says what *its* image shows.
Afterwards both encoders are shown the same image, and the two heads are an ensemble, at the price
of one network. [How it works](../docs/how_it_works.md) has the rules and their sources.

CIFAR-10 is downloaded by tensorflow-datasets, unless it is there. Three epochs take two minutes on
two CPU cores. With `EXAMPLES=short` in the environment, a smaller network is trained for seconds,
on the handwritten digits of scikit-learn: the site's page shows those.
"""

import os

import keras
import numpy as np

import mixmo_tf
from mixmo_tf import evaluation, masks, plots, ratios

SHORT = os.environ.get("EXAMPLES") == "short"
DATASET, EPOCHS, FILTERS = ("digits", 2, 4) if SHORT else ("cifar10", 3, 16)
BATCH_SIZE, REPETITIONS = (16, 1) if SHORT else (64, 2)

keras.utils.set_random_seed(0)  # the initial weights

"""
## The data

`load_arrays` gives uint8 pixels (N, 32, 32, 3), integer labels, and what is known of the dataset.
Cropping, flipping and normalising are the model's work, inside the training step.
"""

images, labels, info = mixmo_tf.data.load_arrays(DATASET, "train")
test_images, test_labels, _ = mixmo_tf.data.load_arrays(DATASET, "test")
print(images.shape, images.dtype, info.class_names)

"""
## What the members are shown

A ratio κ is drawn for each pair, and a box of about that share of the map: inside it stands one
image, outside it the other. The network mixes *encoded* images; here the masks lie on the pixels,
where they can be seen. The weights say how much each member's loss counts: the one that got less
of the map counts less, but more than its share.
"""

pairs = images[:6].reshape(3, 2, *info.image_shape) / 255
kappa = ratios.draw(3, 2, 2.0, [0, 1])  # (rows, members), α = 2
drawn = masks.draw("cutmix", kappa, (32, 32), [0, 2])  # (rows, h, w, members)
weights = ratios.loss_weights(np.mean(drawn, axis=(1, 2)), 3.0)  # r = 3
plots.mixing_masks(pairs, *map(np.asarray, (drawn, kappa, weights)), "Cut-MixMo")

"""
## The model

The network is a functional Keras model; `MixMo` trains it. Half of the batches are mixed by boxes,
the others linearly, and towards the end of training all of them are: that is
`AnnealedProbability`. `batch_repetitions=2` shows each image twice in a step, in two pairs. The
schedule is Keras' own: a cosine, after a first tenth in which the learning rate rises.
"""

steps = EPOCHS * (len(images) // BATCH_SIZE)
network = mixmo_tf.networks.preact_resnet18(
    1, num_members=2, num_classes=info.num_classes, image_shape=info.image_shape, filters=FILTERS
)
model = mixmo_tf.MixMo(
    network,
    mixing="cutmix",
    mixing_probability=mixmo_tf.AnnealedProbability(0.5, total_steps=steps),
    batch_repetitions=REPETITIONS,
    augmentation="crop" if SHORT else "crop_flip",  # a flipped digit is none
    l2=1e-4,
    mean=info.mean,
    std=info.std,
    class_names=info.class_names,
)
schedule = keras.optimizers.schedules.CosineDecay(
    0.01, steps - steps // 10, warmup_target=0.1, warmup_steps=steps // 10
)
model.compile(keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True), metrics=["accuracy"])
print(f"{network.count_params():,} parameters")

"""
## Training

`fit` is Keras' own. `Progress` shows one line an epoch: after it, `acc` is the ensemble's accuracy
on the test images, with those of the two members behind it.
"""

history = model.fit(
    images,
    labels,
    batch_size=BATCH_SIZE,
    epochs=EPOCHS,
    validation_data=(test_images, test_labels),
    verbose=0,
    callbacks=[mixmo_tf.training.Progress()],
)

"""
The dashed lines are accuracies on *mixed* training images, where half of what a member should see
is covered, so they stay low. The solid ones are on whole images.
"""

plots.training_curves([history.history], f"Cut-MixMo on {DATASET}")

"""
## What the ensemble is worth

`member_logits` gives each member's answer, and `report` every metric of the ensemble, with those of
the members beside it.
"""

logits = model.member_logits(test_images)  # (N, members, classes)
found = evaluation.report(logits, test_labels)
print(f"ensemble {found['accuracy']:.1%}, members", [f"{a:.1%}" for a in found["member_accuracy"]])
print(f"one of two is wrong {found['ratio_error']:.2f} times as often as both")

"""
In full, on CIFAR-10 (JPEG), the ensemble reached 53.8 %, its members 50.8 and 51.9 %, and one of
two was wrong 0.62 times as often as both. The picture shows how the members share the filters that
both write to: a filter in one colour belongs to one member.
"""

plots.encoder_filters(evaluation.encoder_norms(network), "Who uses which filter")

"""
Is it as sure as it may be? A point below the line is a confidence that is too high, one above it a
confidence that is too low, which training on mixed images makes likely.
"""

plots.reliability_diagram(evaluation.ensemble_logits(logits, "logits"), test_labels)

"""
## Where to go on

`model.save("mixmo.keras")` keeps it, `mixmo_tf.load` brings it back, and
[folded](folded_and_served.py) it is a plain network. Twelve epochs of the same give 68 %, and the
paper's networks are ten times wider: [how to choose](../docs/choosing.md).
"""
