"""Writes a trained model for use without this package, and checks what it wrote.

    python scripts/export.py --model=runs/digits
    python scripts/export.py --model=runs/digits --format=saved_model,onnx,litert
    python scripts/export.py --model=runs/flowers --calibrate --abstain_risk=0.05
    python scripts/export.py --model=runs/digits --share=small-digits    for the Hugging Face Hub

Several models, separated by commas, become one deep ensemble. The members are folded into a plain
network with the same outputs, unless you give --nofold, or --members, which keeps their heads.

The folder itself is the SavedModel. In it are also model.onnx, a model_DTYPE.tflite for each
--litert, class_names.txt, and model.json, which describes the inputs and outputs of all files: they
take uint8 images (n, height, width, channels), and give the ensemble's `probabilities` (n, C), and
`member_probabilities` and `member_logits` (n, M, C). With --input=jpeg, the SavedModel also takes
the bytes of JPEG and PNG files, by its signature `serving_bytes`. With --calibrate, all files also
give `calibrated_probabilities`, `confidence`, `accept` and `prediction_set`, by numbers that are
fitted on held-out images. From a run, the last epoch is written, or, with --which=best, the best.
"""

import functools
import importlib.util
import os
import runpy


def main():
    # signals are answered before TensorFlow is imported, which takes seconds
    package = importlib.util.find_spec("mixmo_tf").submodule_search_locations[0]
    ending = runpy.run_path(os.path.join(package, "experiments", "ending.py"))
    ending["run"](load)


def load():
    """Imports what the command needs; what it gives runs the command."""
    from mixmo_tf.experiments import ExportSettings, command_line, export

    return functools.partial(command_line.run, export, ExportSettings, description=__doc__)


if __name__ == "__main__":
    main()
