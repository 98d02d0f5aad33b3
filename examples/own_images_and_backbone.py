"""
Title: A folder of images, and a backbone of your own
Author: The contributors of mixmo_tf
Date created: 2026/11/29
Last modified: 2026/11/29
Description: Image files in folders, and any functional Keras model, become a MixMo.
Accelerator: None
"""

"""
## A folder of images

In place of your own photographs, this example uses small pieces of two photographs that come with
scikit-learn: a temple and a flower. The pieces to train on come from the left of each photograph
and those to test on from the right, so that no pixel is in both. This takes a quarter of a minute
on two CPU cores, and less with `EXAMPLES=short` in the environment, as when the site is built.
"""

import os
import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

import mixmo_tf
from mixmo_tf import evaluation, plots

SHORT = os.environ.get("EXAMPLES") == "short"
EPOCHS = 3 if SHORT else 12
SIDE, BORDER = 64, 420  # pixels; the column where the training images end

random = np.random.default_rng(0)
for kind, photograph in zip(("temple", "flower"), load_sample_images().images, strict=True):
    height, width, _ = photograph.shape
    parts = {"train": (240, 0, BORDER), "test": (80, BORDER, width)}
    for split, (number, left, right) in parts.items():
        folder = pathlib.Path("photos", split, kind)
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(number):
            y, x = random.integers(0, height - SIDE), random.integers(left, right - SIDE)
            patch = photograph[y : y + SIDE, x : x + SIDE]
            keras.utils.save_img(folder / f"{i:03d}.png", patch, scale=False)
print(*sorted(str(folder) for folder in pathlib.Path("photos").glob("*/*")), sep="\n")

"""
`image_folder:photos` names such a folder. In it are `train/` and `test/`, and in each of these a
folder for each class; images to validate on would be in `val/`. The files may be of any size and of
[seven formats](../docs/own_images.md). `image_size` is the size that they are brought to.
"""

images, labels, info = mixmo_tf.data.load_arrays("image_folder:photos", "train", image_size=SIDE)
test_images, test_labels, _ = mixmo_tf.data.load_arrays(
    "image_folder:photos", "test", image_size=SIDE
)
print(images.shape, info.class_names)

figure, axes = plt.subplots(2, 6, figsize=(9, 3), layout="constrained")
for place, i in zip(axes.flat, random.choice(len(images), 12, replace=False), strict=True):
    place.imshow(images[i])
    place.set(title=info.class_names[labels[i]], xticks=[], yticks=[])

"""
## A backbone

The backbone may be any functional Keras model that takes one image: one of `keras.applications`, of
KerasHub, or this one. This one scales the pixels itself and has dropout; it needs no head.
"""


def residual(x, filters):
    """Halves the map, and adds what two convolutions find in it."""
    short = keras.layers.Conv2D(filters, 1, strides=2)(x)
    for strides in (2, 1):
        x = keras.layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        x = keras.layers.Activation("relu")(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.layers.Add()([x, short])


keras.utils.set_random_seed(0)  # the initial weights
image = keras.Input((SIDE, SIDE, 3))
x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
x = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="first")(x)
x = residual(residual(x, 32), 64)
x = keras.layers.Dropout(0.1)(x)
backbone = keras.Model(image, x, name="mine")

"""
`from_backbone` cuts the backbone after its first convolution. What comes before the cut is copied
for each member, the mixing layer comes at the cut, and two new heads see the mean of the last map.
If the backbone had trained weights, they would be kept.
"""

network = mixmo_tf.networks.from_backbone(backbone, num_members=2, num_classes=info.num_classes)
print(f"{backbone.count_params():,} parameters, as a MixMo {network.count_params():,}")
for layer in network.layers[:8]:
    print(f"{layer.name:16} {type(layer).__name__:16} {getattr(layer.output, 'shape', '')}")

"""
## Training

`MixMo` sees that the network scales pixels itself, and passes pixels from 0 to 255 on to it
unchanged.
"""

model = mixmo_tf.MixMo(network, batch_repetitions=2, class_names=info.class_names)
steps = EPOCHS * (len(images) // 16)
schedule = keras.optimizers.schedules.CosineDecay(0.02, steps)
model.compile(keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True), metrics=["accuracy"])
history = model.fit(
    images,
    labels,
    batch_size=16,
    epochs=EPOCHS,
    validation_data=(test_images, test_labels),
    verbose=0,
    callbacks=[mixmo_tf.training.Progress()],
)

"""
In the full run, the model is right about 98.8 % of the test images; this is an easy task. The
confusion matrix shows its mistakes: each row is a class, and each column is what the images of this
class are taken for.
"""

logits = evaluation.ensemble_logits(model.member_logits(test_images), "logits")
matrix = np.array(evaluation.per_class(logits, test_labels)["confusion_matrix"])
plots.confusion_matrix(matrix, info.class_names)

"""
## The class of a file

`find_images` lists image files. `read_images` reads them as the training images were read: turned
upright, and brought to the network's size.
"""

files = mixmo_tf.data.find_images(["photos/test"])[::40]
answers = model.predict(mixmo_tf.data.read_images(files, model.image_shape), verbose=0)
for file, answer in zip(files, answers, strict=True):
    print(f"{file}: {model.class_names[answer.argmax()]}, {answer.max():.1%}")

"""
## What to read next

[Pretrained networks](../docs/backbones.md) says where a model is cut and what its heads see. In the
shell, `--dataset=image_folder:photos --network=backbone:MobileNetV3Small` does the same with a
model of `keras.applications`. Once it is [folded](folded_and_served.py), the network has exactly
the backbone's own operations again.
"""
