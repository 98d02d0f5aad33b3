"""Evaluates trained models: accuracy, calibration, diversity; the ensemble beside its members.

    python scripts/evaluate.py --model=runs/digits
    python scripts/evaluate.py --model=runs/a,runs/b            one deep ensemble of two
    python scripts/evaluate.py --model=runs/a --model=runs/b    a table, a line each

A model is a run's folder, a .keras file or a SavedModel of export.py. Runs that differ in
their seed alone get a line more, mean ± standard deviation. With --output_dir the metrics are
kept in metrics.json, the members' logits with the labels in predictions.npz, and, unless a
SavedModel was evaluated, model.keras, which evaluate.py and export.py take like any other; of
several --model, each in a folder of its own, 0, 1, ….
"""

import os
import signal


def main():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)  # while TensorFlow is imported
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from mixmo_tf.experiments import ending

    ending.run(command)


def end(number, frame):
    name = signal.Signals(number).name
    os.write(2, f"evaluate.py: ended by {name}; give the command again\n".encode())
    os._exit(os.EX_TEMPFAIL)


def command(argv=None):
    from mixmo_tf.experiments import EvaluationSettings, command_line, evaluate

    command_line.run(evaluate, EvaluationSettings, argv=argv)


if __name__ == "__main__":
    main()
