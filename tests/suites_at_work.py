"""Runs of the digits' suite, laid down as if they were done."""

import json

from scripts_at_work import ROOT

from mixmo_tf import experiments

CONFIGS = (
    "digits_plain", "digits_cutmix", "digits_mimo", "digits_linear_mixmo", "digits",
    "digits_cow_mixmo",
)  # fmt: skip
SMALL = {"filters": 2, "epochs": 1, "batch_size": 64, "batch_repetitions": 1}
SMALL_FLAGS = [f"--{name}={value}" for name, value in SMALL.items()]


def finish(output, config, seed, metrics, more=None, **changes):
    """Lays down what `reproduce` reads of a run, as if that were done."""
    folder = output / f"{config}_seed{seed}"
    folder.mkdir(parents=True)
    settings = experiments.Settings.from_flagfile(
        ROOT / "configs" / f"{config}.flags", **(more or {}), seed=seed, output_dir=folder
    )
    (folder / "run.flags").write_text("\n".join(settings.lines()))
    metrics = {name: value for name, value in metrics.items() if name != "epochs"}
    (folder / "metrics.json").write_text(json.dumps({**metrics, **changes}))
    return folder
