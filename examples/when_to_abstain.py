"""
Title: From predictions to a decision when to abstain
Author: The contributors of mixmo_tf
Date created: 2026/11/29
Last modified: 2026/11/29
Description: A threshold below which not to answer, and sets of classes, from predictions.npz.
Accelerator: None
"""

"""
## A run, evaluated

This example needs only the arrays in a `predictions.npz`, which `evaluate.py --output_dir` keeps of
any model. Here, a run makes them. It holds images out, because whatever is fitted must be fitted on
images that the model is neither trained nor tested on. In the shell, `train.py` and `evaluate.py`
do the same as the two calls, with the same names as flags.

On CIFAR-10 the example takes three minutes on two CPU cores. With `EXAMPLES=short` in the
environment, as when the site is built, it takes seconds, and its numbers are those of handwritten
digits.
"""

import os

import numpy as np
from scipy.special import softmax

from mixmo_tf import evaluation, experiments, plots

SHORT = os.environ.get("EXAMPLES") == "short"
if SHORT:
    chosen = {"dataset": "digits", "epochs": 3, "batch_size": 16, "warmup_steps": 20, "filters": 4}
    chosen |= {"validation_examples": 360, "learning_rate": 0.1}
else:
    chosen = {"dataset": "cifar10", "epochs": 8, "batch_size": 64, "warmup_steps": 300}
    chosen |= {"validation_examples": 5000, "learning_rate": 0.1, "augmentation": "crop_flip"}

settings = experiments.Settings(
    network="preact_resnet18", batch_repetitions=1, schedule="cosine", output_dir="runs/abstain",
    **chosen,
)  # fmt: skip
experiments.train(settings)
evaluation_settings = experiments.EvaluationSettings(
    model="runs/abstain", output_dir="runs/abstain_evaluated"
)
(found,) = experiments.evaluate(evaluation_settings)

"""
## The arrays

The arrays are each member's logits of the test images, with their labels, and the same of the
held-out images. The ensemble averages the members' logits.
"""

with np.load("runs/abstain_evaluated/predictions.npz") as kept:
    for name in kept:
        print(name, kept[name].shape)
    logits = evaluation.ensemble_logits(kept["member_logits"], "logits")  # (n, classes)
    labels = kept["labels"]
    held_out = evaluation.ensemble_logits(kept["held_out_member_logits"], "logits")
    held_out_labels = kept["held_out_labels"]
print(f"right about {evaluation.accuracy(logits, labels):.1%} of the test images")

"""
## Does it know when it is wrong?

Right answers should be more confident than wrong ones. The AUROC is the chance that a right answer
is more confident than a wrong one: at one half the confidence tells nothing, at one it tells
everything.
"""

plots.confidence_histogram(softmax(logits, axis=1), labels)

"""
## The decision

`decision.fit` finds three numbers on the held-out images. The first is the temperature with which
the probabilities fit best. The second is the lowest confidence from which on at most a tenth of the
answers are wrong. The third is a sum of probabilities: classes are in an image's set up to this
sum, so that nine sets of ten hold the label.
"""

RISK = 0.1
decision = evaluation.decision.fit(held_out, held_out_labels, risk=RISK)
print(f"temperature {decision.temperature:.3f}")
print(f"answer from a confidence of {decision.confidence_threshold:.3f} on")

"""
A temperature below 1 means that the model was not confident enough, as is usual after training on
mixed images. The diagram shows confidence and accuracy before and after.
"""

plots.reliability_diagram(logits, labels, temperature=decision.temperature)

"""
## What it keeps on other images

The threshold was found on held-out images; what it is worth is measured on the test images. It is
not guaranteed, and with few held-out images it is found badly.
"""

decided = evaluation.decision.decide(logits, decision)
right = decided.calibrated_probabilities.argmax(axis=1) == labels
answered = decided.accept
print(f"answers {answered.mean():.1%} of the images")
if answered.any():
    print(f"and is wrong about {1 - right[answered].mean():.1%} of those, wanted: {RISK:.0%}")
print(f"of all images, it would be wrong about {1 - right.mean():.1%}")

"""
This picture shows every threshold at once. On the right, all images are answered; to the left,
errors become rarer as the least confident answers are held back. The grey line is what a model
would reach that knew all of its errors, and the mark is our threshold.
"""

plots.risk_coverage_curve(
    {"calibrated": decided.calibrated_probabilities},
    labels,
    thresholds=[min(decision.confidence_threshold, 1.0)],
)

"""
## Or a set of classes

Where "I do not know" is not a useful answer, a set of classes may be: as many classes as needed so
that nine sets of ten hold the label. This *is* guaranteed, as long as the images come from where
the held-out ones came from: on average over the images, not for each class. The digits violate this
condition, because some classes are more frequent among the test digits than among the others.
"""

sets = decided.prediction_set
holds = sets[np.arange(len(labels)), labels]
sizes = sets.sum(axis=1)
print(f"{holds.mean():.1%} of the sets hold the label; they have {sizes.mean():.2f} classes")
for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
    print(f"{count:5} sets of {size}")

"""
In the full run on CIFAR-10 (JPEG), the model was right about 58.8 % of the test images. With the
threshold of 0.764 it answers 26.6 % of them, and is wrong about 12.9 % of those, where 10 % were
wanted: the threshold is not guaranteed. 89.9 % of the sets hold the label, where 90 % were
promised, and the sets have 2.8 classes on average.

## What to read next

An exported file can [hold this decision](../docs/decision.md): in every format, it then gives
`accept` and `prediction_set` by itself. Other pages explain [how to read the
numbers](../docs/evaluating.md), and [how they change under distribution shift](../docs/shift.md).
"""
