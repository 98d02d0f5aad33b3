"""Measures what the README claims, on this machine.

    python scripts/benchmark.py train     MixMo's whole `fit` beside a plain Keras `fit`
    python scripts/benchmark.py scaling   XLA, bfloat16, two replicas, steps per execution
    python scripts/benchmark.py input     images/s of the training streams, without a network
    python scripts/benchmark.py folder    training from JPEGs beside training from memory
    python scripts/benchmark.py masks     drawing the masks of a step beside the step itself
    python scripts/benchmark.py inference a folded network beside a plain one and its members;
                                          with --model, latencies of your own, in each format
    python scripts/benchmark.py device    for GPUs: rows/s of `fit` in each precision, and how much
                                          of the device's rate of matrix products that is

Rates differ from machine to machine and from minute to minute: compare only numbers of one
run. The loops take turns (but for those of `device`, each of which has a process of its own), and a
ratio is the median over the turns, with the least and the largest in brackets. On a CPU that others
use too, processor seconds are the steadier measure.
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
    from mixmo_tf.experiments import command_line
    from mixmo_tf.experiments.benchmarks.measure import BENCHMARKS, measure
    from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings

    return functools.partial(
        command_line.run, measure, BenchmarkSettings, names=BENCHMARKS, description=__doc__
    )


if __name__ == "__main__":
    main()
