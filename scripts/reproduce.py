"""Trains a list of configs with several seeds, and reports them side by side.

    python scripts/reproduce.py --suite=digits

Runs that are done are skipped and one that was interrupted goes on, so the same command can be
given as often as need be. In --output_dir it leaves a run's folder CONFIG_seedSEED with its log
beside it, and of the suite a table, SUITE.md, and a plot, SUITE.png: mean ± standard deviation
over the seeds.
"""

import json
import pathlib
import shlex
import signal
import statistics
import subprocess
import sys
import time

import matplotlib
import suites
from absl import app, flags

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIGURES = {  # title: (value of a run's metrics.json, how it is written)
    "ensemble accuracy, %": (lambda run: 100 * run["accuracy"], ".2f"),
    "members' accuracy, %": (lambda run: 100 * statistics.mean(member_accuracies(run)), ".2f"),
    "NLL": (lambda run: run["loss"], ".4f"),
    "ratio-error": (lambda run: run.get("ratio_error"), ".2f"),
}

FLAGS = flags.FLAGS
flags.DEFINE_enum("suite", "digits", suites.NAMES, "Which configs to compare.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the runs of each config.")
flags.DEFINE_string("output_dir", "runs", "Folder of the runs and of the report.")
flags.DEFINE_string("data_dir", None, "Folder of tensorflow-datasets, for every run.")
flags.DEFINE_string(
    "train_flags", "", "More flags for every train.py, such as '--epochs=2 --jit_compile=false'."
)


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"reproduce.py: unknown argument {arguments[1]}; flags start with --")
    try:
        seeds = [int(seed) for seed in FLAGS.seeds]
    except ValueError:
        sys.exit(f"reproduce.py: seeds must be whole numbers, got {','.join(FLAGS.seeds)}")
    output = pathlib.Path(FLAGS.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    runs = {
        title: figures_of(config, seeds, output)
        for title, config in suites.configs(FLAGS.suite).items()
    }
    (output / f"{FLAGS.suite}.md").write_text(table(runs), encoding="utf-8")
    plot(runs, output / f"{FLAGS.suite}.png")
    print(table(runs))
    print(f"Wrote {output / FLAGS.suite}.md and {output / FLAGS.suite}.png.")


def figures_of(config, seeds, output):
    """The metrics.json of every run of a config, a list of dicts; trains what is missing."""
    flagfile = ROOT / "configs" / f"{config}.flags"
    lines = flagfile.read_text(encoding="utf-8").splitlines()
    models = [line for line in lines if line.startswith("--model=")]
    if not models:
        more = shlex.split(FLAGS.train_flags)
        return [
            run(
                "train.py",
                f"{config}_seed{seed}",
                output,
                [f"--flagfile={flagfile}", f"--seed={seed}", *more],
            )
            for seed in seeds
        ]
    folders = [output / pathlib.Path(m).name for m in models[0].partition("=")[2].split(",")]
    missing = [str(folder) for folder in folders if not (folder / "model.keras").exists()]
    if missing:
        print(f"{config}: left out, it needs {', '.join(missing)}")
        return []
    return [run("evaluate.py", config, output, [f"--model={','.join(map(str, folders))}"])]


def run(script, name, output, script_flags):
    """Runs a script that writes a run's folder, unless it is done; returns its figures."""
    figures = output / name / "metrics.json"
    if figures.exists():
        return report(name, figures, "done before")
    command = [sys.executable, str(ROOT / "scripts" / script), *script_flags]
    command += [f"--output_dir={output / name}"]
    command += [f"--data_dir={FLAGS.data_dir}"] if FLAGS.data_dir else []
    log = output / f"{name}.log"
    start = time.perf_counter()
    with open(log, "a") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        for number in (signal.SIGINT, signal.SIGTERM):  # the run saves itself and ends
            signal.signal(number, lambda signal_number, _: process.send_signal(signal_number))
        print(f"{name} …  (log: {log})", flush=True)
        exit_code = process.wait()
    if exit_code:
        said = log.read_text(errors="replace").strip().splitlines()
        print(f"reproduce.py: {name}: {said[-1] if said else 'no output'}", file=sys.stderr)
        sys.exit(exit_code if exit_code > 0 else 128 - exit_code)
    return report(name, figures, f"{time.perf_counter() - start:.0f} s")


def report(name, figures, remark):
    """Reads a run's figures and prints a line about it."""
    figures = json.loads(figures.read_text())
    print(f"{name}: {figures['accuracy']:.2%}  ({remark})", flush=True)
    return figures


def member_accuracies(run):
    """Accuracies of a run's members, a list."""
    return [value for key, value in run.items() if key.startswith("member_")]


def mean_and_std(runs, figure):
    """Mean over the runs, and the standard deviation where there are several; or None."""
    values = [figure(run) for run in runs]
    if not values or values[0] is None:
        return None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def table(runs):
    """The runs by title as a Markdown table."""
    lines = ["| method | runs | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 2) + "|"]
    for title, of_title in runs.items():
        cells = [title, str(len(of_title))]
        for figure, form in FIGURES.values():
            spread = mean_and_std(of_title, figure)
            several = f" ± {spread[1]:{form}}" if len(of_title) > 1 and spread else ""
            cells.append(f"{spread[0]:{form}}{several}" if spread else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(runs, path):
    """A panel per figure, a method per line, bars of one standard deviation."""
    height = 1.2 + 0.32 * len(runs)
    figure, panels = plt.subplots(1, len(FIGURES), figsize=(12, height), dpi=120, sharey=True)
    for panel, (title, (value, _)) in zip(panels, FIGURES.items()):
        for line, of_title in enumerate(runs.values()):
            spread = mean_and_std(of_title, value)
            if spread:
                for one in of_title:
                    panel.plot(value(one), line, "o", color="#9db8cc", markersize=4, zorder=1)
                mean, std = spread
                panel.errorbar(mean, line, xerr=std, fmt="s", color="#1b6ca8", capsize=4)
        panel.set_title(title, fontsize=11)
        panel.set_yticks(range(len(runs)), runs)
        panel.grid(axis="x", color="#dddddd")
        panel.tick_params(axis="x", labelsize=8)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
    panels[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    app.run(main)
