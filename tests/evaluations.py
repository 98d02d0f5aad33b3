"""Calls of `evaluate`, and runs to evaluate."""

import io
import logging
import pathlib
import shutil

from mixmo_tf import experiments
from mixmo_tf.training import checkpoints

DOCS = pathlib.Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "evaluating.md").read_text(encoding="utf-8")


def evaluate(*models, **settings):
    """What a call returns for one model or more, and the text that it logs."""
    log, said = logging.getLogger("mixmo_tf"), io.StringIO()
    handler = logging.StreamHandler(said)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        found = experiments.evaluate(experiments.EvaluationSettings(model=models, **settings))
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    return found, said.getvalue()


def lay_runs(finished, folder):
    """The finished run; another with another seed, which held out images; its SavedModel."""
    run, seed_1 = folder / "run", folder / "seed_1"
    for path in (run, seed_1):
        shutil.copytree(finished, path)
    lines = (seed_1 / "run.flags").read_text().replace("--seed=0", "--seed=1")
    (seed_1 / "run.flags").write_text(lines)
    shutil.copytree(seed_1, folder / "held_out")
    lines = lines.replace("--validation_examples=0", "--validation_examples=100")
    (folder / "held_out" / "run.flags").write_text(lines)
    shutil.copytree(folder / "held_out", folder / "other")
    lines = lines.replace("--validation_examples=100", "--validation_examples=50")
    (folder / "other" / "run.flags").write_text(lines)
    model = checkpoints.load_model(run)
    model.export(run / "saved_model")
    for variable in model.network.get_layer("head_0").variables:
        variable.assign(0 * variable)
    model.save(seed_1 / "model.keras")
