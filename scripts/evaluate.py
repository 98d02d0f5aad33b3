"""Evaluates trained models: accuracy, calibration, diversity; the ensemble beside its members.

    python scripts/evaluate.py --model=runs/digits
    python scripts/evaluate.py --model=runs/a,runs/b            one deep ensemble of two
    python scripts/evaluate.py --model=runs/a --model=runs/b    a table, a line each
    python scripts/evaluate.py --model=runs/a --model=runs/b --paired    b tested against a
    python scripts/evaluate.py --model=runs/a --abstain_risk=0.05        when not to answer
    python scripts/evaluate.py --model=runs/a --which=best               its best epoch
    python scripts/evaluate.py --model=runs/a --corruptions=made         corrupted images too
    python scripts/evaluate.py --model=runs/a --ood=near:cifar100        and of another dataset
    python scripts/evaluate.py --model=runs/a --report=pages/a           a page to look at
    python scripts/evaluate.py --predictions=kept --report=pages/kept    what --output_dir kept

A model is a run's folder, a .keras file or what export.py wrote. For runs that differ in their
seed alone, a line with mean ± standard deviation is added. --output_dir keeps the metrics in
metrics.json, and the members' logits, the labels and the images' names in predictions.npz; unless
an exported model was evaluated, it also keeps model.keras, which evaluate.py and export.py take
like any other. With several --model, each has a folder of its own: 0, 1, ….
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
    from mixmo_tf.experiments import EvaluationSettings, command_line, evaluate

    return functools.partial(command_line.run, evaluate, EvaluationSettings, description=__doc__)


if __name__ == "__main__":
    main()
