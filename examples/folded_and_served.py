"""
Title: A folded model, served
Author: The contributors of mixmo_tf
Date created: 2026/11/29
Last modified: 2026/11/29
Description: A trained MixMo as a plain network, as a file, and as a server that may abstain.
Accelerator: None
"""

"""
## A model

A small network is trained on handwritten digits. A fifth of the training images is held out, for
the decision further down. The example takes half a minute on two CPU cores, and less with
`EXAMPLES=short` in the environment, as when the site is built.

The server needs starlette and uvicorn: `pip install -e ".[serve]"`.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

import keras
import matplotlib.pyplot as plt
import numpy as np

import mixmo_tf
from mixmo_tf import deployment, evaluation

SHORT = os.environ.get("EXAMPLES") == "short"
EPOCHS, REPETITIONS, FILTERS = (4, 1, 4) if SHORT else (10, 2, 16)

images, labels, info = mixmo_tf.data.load_arrays("digits", "train")
test_images, test_labels, _ = mixmo_tf.data.load_arrays("digits", "test")
held_out, held_out_labels = images[:300], labels[:300]

keras.utils.set_random_seed(0)  # the initial weights
network = mixmo_tf.networks.preact_resnet18(
    1, num_members=2, num_classes=info.num_classes, image_shape=info.image_shape, filters=FILTERS
)
model = mixmo_tf.MixMo(
    network, batch_repetitions=REPETITIONS, augmentation="crop", class_names=info.class_names
)
steps = EPOCHS * (len(images[300:]) // 16)
schedule = keras.optimizers.schedules.CosineDecay(
    0.01, steps - 40, warmup_target=0.08 if SHORT else 0.05, warmup_steps=40
)
model.compile(keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True), metrics=["accuracy"])
history = model.fit(
    images[300:],
    labels[300:],
    batch_size=16,
    epochs=EPOCHS,
    validation_data=(test_images, test_labels),
    verbose=0,
    callbacks=[mixmo_tf.training.Progress()],
)

"""
## Fold it

At inference, all encoders see the same image. They are linear, so a single convolution with the sum
of their kernels does the same. The heads are linear too, and their mean replaces them. A plain
network is left, which gives the ensemble's answers.
"""

folded = deployment.fold(model)
difference = abs(folded.predict(test_images, verbose=0) - model.predict(test_images, verbose=0))
print(f"{model.network.count_params():,} parameters, folded {folded.network.count_params():,}")
print(f"largest difference of a probability: {difference.max():.1e}")

"""
Its time is compared too, by the fastest of five calls. On a busy machine this says little.
"""

seconds = {"MixMo": [], "folded": []}
for _ in range(5):
    for name, each in zip(seconds, (model, folded), strict=True):
        began = time.perf_counter()
        each.predict(test_images, verbose=0)
        seconds[name].append(time.perf_counter() - began)
for name, of_each in seconds.items():
    print(f"{name}: {1000 * min(of_each) / len(test_images):.3f} ms an image")

"""
## Export it, with its decision

`decision.fit` finds a temperature, and the confidence from which on at most 1 % of the held-out
answers are wrong. The file, a SavedModel, then gives `accept` and `confidence` too.
"""

held_out_logits = evaluation.ensemble_logits(folded.member_logits(held_out), "logits")
decision = evaluation.decision.fit(held_out_logits, held_out_labels, risk=0.01)
deployment.export(folded, "served/digits/1", decision=decision)
print(*sorted(file.name for file in pathlib.Path("served/digits/1").iterdir()))

"""
## Serve it

`serve.py` lies beside this example and uses nothing of mixmo_tf. It gets a free port.
"""

examples = pathlib.Path(mixmo_tf.__file__).parents[1] / "examples"
command = [sys.executable, examples / "serve.py", "served/digits/1", "--name=digits", "--port=0"]
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
server = subprocess.Popen(command, **quiet)
for line in server.stderr:
    if ready := re.search(r"running on (http://\S+)", line):
        break
else:  # it has ended, and its last line says why
    raise RuntimeError(line)
url = f"{ready[1]}/v1/models/digits:predict"

"""
The request has TensorFlow Serving's form, with pixels as JSON: three test digits, and noise.
"""

noise = np.random.default_rng(0).integers(0, 256, test_images[:1].shape)
asked = np.concatenate([test_images[:3], noise])
body = json.dumps({"instances": asked.tolist()}).encode()
try:
    with urllib.request.urlopen(url, body) as response:
        answers = json.load(response)["predictions"]
finally:
    server.terminate()
    server.wait()
figure, axes = plt.subplots(1, 4, figsize=(9, 2.7), layout="constrained")
for place, pixels, answer in zip(axes, asked, answers, strict=True):
    digit = np.argmax(answer["calibrated_probabilities"])
    said = "accepted" if answer["accept"] else "held back"
    place.imshow(pixels)
    place.set(title=f"{digit}, {answer['confidence']:.1%}: {said}", xticks=[], yticks=[])

"""
In the full run, the ensemble is right about 97.5 % of the test digits. Here, it takes the second
for a 9 with a confidence of 0.93, and the noise for an 8 with 0.998. Both are accepted: a threshold
holds back most errors among digits, but not all, and it does not recognise what is no digit. [Other
scores](../docs/shift.md) do.

## What to read next

[Deploying](../docs/deploying.md) explains ONNX, LiteRT and int8; [serving](../docs/serving.md),
TensorFlow Serving and files instead of pixels; [the decision](../docs/decision.md), all outputs.
"""
