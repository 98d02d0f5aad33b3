"""Measures and draws how the members of a trained network split its encoder filters.

    python scripts/show_encoders.py --model=runs/digits

For every filter, the L1 norm of each member's kernel. Where one member's is large and the
others' small, the core sees that member alone through this filter: separate subnetworks. Equal
norms mean a filter that the members share. The split score sums it up: 0 if all filters are
shared alike, 1 if each belongs to one member.
"""

import os
import sys

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from absl import flags, logging

from mixmo_tf import evaluation
from mixmo_tf.paths import expanded
from mixmo_tf.plots import encoders, files
from mixmo_tf.training import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A run's folder, or a .keras file.")
flags.DEFINE_string("output", None, "The picture; encoders.png beside the model if not set.")
flags.mark_flag_as_required("model")

OWNED = 0.9  # share of a filter's norm from which on it is called one member's


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"show_encoders.py: unknown argument {arguments[1]}; flags start with --")
    logging.set_verbosity(logging.WARNING)
    try:
        source = expanded(FLAGS.model)
        folder = source if source.is_dir() else source.parent
        output = expanded(FLAGS.output or folder / "encoders.png")
        files.check(output)
        networks = checkpoints.load_model(source).networks
        if len(networks) > 1:
            raise ValueError(f"{source} is a deep ensemble; show its networks one by one")
        norms = evaluation.encoder_norms(networks[0])
        keras.utils.set_random_seed(0)
        untrained = evaluation.encoder_norms(keras.models.clone_model(networks[0]))
        scores = evaluation.split_score(norms), evaluation.split_score(untrained)
        print_table(norms)
        summary = f"split score {scores[0]:.2f} (0 shared, 1 separate; untrained {scores[1]:.2f})"
        print(summary)
        files.save(encoders.draw(norms, summary), output)
    except (ValueError, OSError) as error:
        sys.exit(f"show_encoders.py: {error}")
    print(f"Wrote {output}.")


def print_table(norms):
    """A line per filter, and what they come to."""
    shares = norms / norms.sum(axis=0)
    members = range(len(norms))
    print("filter  " + "".join(f"{f'member {i}':>10}" for i in members) + "   largest share")
    for i in range(norms.shape[1]):
        print(
            f"{i:<8}"
            + "".join(f"{norm:10.2f}" for norm in norms[:, i])
            + f"{shares[:, i].max():16.0%}"
        )
    for i in members:
        owned = int((shares[i] > OWNED).sum())
        print(f"member {i} has more than {OWNED:.0%} of {owned} of the {norms.shape[1]} filters")


if __name__ == "__main__":
    ending.run(main)
