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

A network with two encoders, one core and two heads is trained on pairs of images. Each image passes
its own encoder, the two encoded images are mixed by a mask, and each head says what *its* image
shows. Afterwards, both encoders get the same image, and the heads form an ensemble at the cost of
one network. [How it works](../docs/how_it_works.md) has the rules.

CIFAR-10 is downloaded by tensorflow-datasets, unless it is there already. Three epochs take two
minutes on two CPU cores. With `EXAMPLES=short` in the environment, a smaller network is trained for
a few seconds, on the handwritten digits of scikit-learn; the site shows that run.
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

`load_arrays` returns uint8 pixels (N, 32, 32, 3), integer labels, and information on the dataset.
The model itself crops, flips and normalises the images, inside the training step.
"""

images, labels, info = mixmo_tf.data.load_arrays(DATASET, "train")
test_images, test_labels, _ = mixmo_tf.data.load_arrays(DATASET, "test")
print(images.shape, images.dtype, info.class_names)

"""
## What the members are shown

For each pair, a ratio κ is drawn, and a box that covers about that share of the feature map. One
image is seen inside the box, the other one outside it. The network mixes *encoded* images; the
picture applies the masks to the pixels, where you can see them. The weights say how much each
member's loss counts: a member that got less of the map counts less, but still more than its share.
"""

pairs = images[:6].reshape(3, 2, *info.image_shape) / 255
kappa = ratios.draw(3, 2, 2.0, [0, 1])  # (rows, members), α = 2
drawn = masks.draw("cutmix", kappa, (32, 32), [0, 2])  # (rows, h, w, members)
weights = ratios.loss_weights(np.mean(drawn, axis=(1, 2)), 3.0)  # r = 3
plots.mixing_masks(pairs, *map(np.asarray, (drawn, kappa, weights)), "Cut-MixMo")

"""
## The model

The network is a functional Keras model, and `MixMo` trains it. Half of the batches are mixed by
boxes, the others linearly; towards the end, `AnnealedProbability` makes all of them linear. With
`batch_repetitions=2`, each image appears twice in a step, in two pairs. The schedule is Keras' own:
a cosine, after a warmup over the first tenth.
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

`fit` is Keras' own. `Progress` shows one line for each epoch. After the epoch, its `acc` is the
ensemble's accuracy on the test images, followed by that of the members.
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
The dashed lines are accuracies on *mixed* training images, where about half of what a member should
see is covered, so they stay low. The solid lines are accuracies on unmixed images.
"""

plots.training_curves([history.history], f"Cut-MixMo on {DATASET}")

"""
## What the ensemble is worth

`member_logits` returns each member's answer, `report` every metric of ensemble and members.
"""

logits = model.member_logits(test_images)  # (N, members, classes)
found = evaluation.report(logits, test_labels)
print(f"ensemble {found['accuracy']:.1%}, members", [f"{a:.1%}" for a in found["member_accuracy"]])
print(f"one of two is wrong {found['ratio_error']:.2f} times as often as both")

"""
In the full run on CIFAR-10 (JPEG), the ensemble reached 53.8 % and its members 50.8 and 51.9 %; the
ratio-error was 0.62 (images that one member alone gets wrong, for each that both do). The next
picture shows how the members share the encoders' filters: a filter in one colour belongs to one
member.
"""

plots.encoder_filters(evaluation.encoder_norms(network), "Who uses which filter")

"""
Can the confidence be believed? Below the line, the model is too confident; above it, it is not
confident enough, which training on mixed images makes likely.
"""

plots.reliability_diagram(evaluation.ensemble_logits(logits, "logits"), test_labels)

"""
## What to read next

`model.save("mixmo.keras")` saves the model, and `mixmo_tf.load` loads it again.
[Folded](folded_and_served.py), it is a plain network. Twelve epochs of the same training give 68 %,
and the paper's networks are ten times wider: see [how to choose](../docs/choosing.md).
"""
