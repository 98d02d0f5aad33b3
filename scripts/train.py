"""Trains a network, as its flags say, and evaluates it on the test images.

    python scripts/train.py --flagfile=configs/digits.flags

A flag that comes after --flagfile overrides it. The same command, given again, continues an
interrupted run from its newest checkpoint. SIGTERM and Ctrl-C write a checkpoint and end the run
with exit code 75. docs/interruptions.md lists what a run writes to --output_dir.
"""

import functools
import importlib.util
import os
import runpy
import sys


def main():
    # signals are answered before TensorFlow is imported, which takes seconds
    package = importlib.util.find_spec("mixmo_tf").submodule_search_locations[0]
    ending = runpy.run_path(os.path.join(package, "experiments", "ending.py"))
    ending["run"](load, clears_up=False)


def load():
    """Imports what the command needs; what it gives runs the command."""
    from mixmo_tf.experiments import Settings, command_line

    return functools.partial(command_line.run, train, Settings, description=__doc__)


def train(settings):
    """Trains, and ends the process where it must not go on."""
    import tensorflow as tf

    from mixmo_tf import experiments
    from mixmo_tf.distribution import replicas
    from mixmo_tf.training import checkpoints, signals

    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    try:
        experiments.train(settings)
    except checkpoints.NotFiniteError as error:
        sys.exit(f"train.py: {error}")
    except signals.Interrupted as interrupt:
        message = f"train.py: ended by {interrupt.by}; the same command goes on from there"
        print(message, file=sys.stderr)
        sys.exit(signals.EXIT_CODE)
    except replicas.WorkerLostError as error:
        signals.exit_now(f"train.py: {error}; give all workers the same command again")
    except tf.errors.OpError as error:
        reason = error.message.split("\n")[0]
        signals.exit_now(f"train.py: TensorFlow fails: {reason}", exit_code=1)


if __name__ == "__main__":
    main()
