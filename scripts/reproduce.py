"""Trains a list of configs with several seeds, and reports them side by side.

    python scripts/reproduce.py --suite=digits

Finished runs are skipped, and an interrupted one is continued, so the same command can be given as
often as necessary. Every flag of train.py may be added; it holds for all runs. In --output_dir,
each run has its folder, CONFIG_seedSEED, with its log beside it. The suite gets a table, SUITE.md,
and a plot, SUITE.png, with mean ± standard deviation over the seeds; the ratio-error is computed
from the errors of all seeds together. A line below the table says which runs were extended.
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
    ending["run"](load)


def load():
    """Imports what the command needs; what it gives runs the command."""
    from mixmo_tf.experiments import SuiteSettings, command_line

    return functools.partial(command_line.run, compare, SuiteSettings, description=__doc__)


def compare(settings):
    from mixmo_tf import experiments
    from mixmo_tf.training import signals

    try:
        experiments.reproduce(settings)
    except signals.Interrupted as interrupt:
        message = f"reproduce.py: ended by {interrupt.by}; the same command goes on from there"
        print(message, file=sys.stderr)
        sys.exit(signals.EXIT_CODE)


if __name__ == "__main__":
    main()
