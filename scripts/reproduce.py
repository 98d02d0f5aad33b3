"""Trains a list of configs with several seeds, and reports them side by side.

    python scripts/reproduce.py --suite=digits

Runs that are done are skipped and one that was interrupted goes on, so the same command can be
given as often as need be. Every flag of train.py may be added; it holds for all runs. In
--output_dir it leaves a run's folder CONFIG_seedSEED with its log beside it, and of the suite a
table, SUITE.md, and a plot, SUITE.png: mean ± standard deviation over the seeds.
"""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import matplotlib
import suites
import train_flags
from absl import flags
from absl.testing import flagsaver

from mixmo_tf.training import interruption, run_directory

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIGURES = {  # title: (value of a run's metrics.json, how it is written)
    "ensemble accuracy, %": (lambda run: 100 * run["accuracy"], ".2f"),
    "members' accuracy, %": (lambda run: 100 * statistics.mean(run["member_accuracy"]), ".2f"),
    "NLL": (lambda run: run["nll"], ".4f"),
    "ratio-error": (lambda run: run.get("ratio_error"), ".2f"),
}

FLAGS = flags.FLAGS
flags.DEFINE_enum("suite", "digits", suites.NAMES, "Which configs to compare.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the runs of each config.")
flags.adopt_module_key_flags(train_flags)
OF_REPRODUCE = ("output_dir", "seed")  # what a run gets from here, not from the command line


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"reproduce.py: unknown argument {arguments[1]}; flags start with --")
    try:
        compare(pathlib.Path(FLAGS.output_dir or "runs").expanduser(), seeds_of_runs())
    except (ValueError, OSError) as error:
        sys.exit(f"reproduce.py: {error}")
    except interruption.Interrupted as end:
        print(f"reproduce.py: ended by {end}; the same command goes on from there", file=sys.stderr)
        sys.exit(interruption.EXIT_CODE)


def seeds_of_runs():
    """The seeds as whole numbers, each once."""
    try:
        seeds = [int(seed) for seed in FLAGS.seeds]
    except ValueError:
        seeds = []
    if FLAGS["seed"].present:
        raise ValueError("seed is each run's own; say --seeds")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different whole numbers, got {','.join(FLAGS.seeds)}")
    return seeds


def compare(output, seeds):
    """Trains what is missing, and reports after every config."""
    output.mkdir(parents=True, exist_ok=True)
    more = [
        flag.serialize()
        for flag in FLAGS.get_flags_for_module(train_flags)
        if flag.present and flag.name not in OF_REPRODUCE
    ]
    configs = suites.configs(FLAGS.suite)
    runs = {title: [] for title in configs}
    for title, config in configs.items():
        runs[title] = figures_of(config, seeds, output, more)
        (output / f"{FLAGS.suite}.md").write_text(table(runs), encoding="utf-8")
        plot(runs, output / f"{FLAGS.suite}.png")
    print(table(runs))
    print(f"Wrote {output / FLAGS.suite}.md and {output / FLAGS.suite}.png.")


def figures_of(config, seeds, output, more):
    """The metrics.json of every run of a config, a list of dicts; trains what is missing."""
    flagfile = ROOT / "configs" / f"{config}.flags"
    lines = flagfile.read_text(encoding="utf-8").splitlines()
    models = [line.partition("=")[2] for line in lines if line.startswith("--model=")]
    if models:
        folders = [output / pathlib.Path(name).name for name in models[0].split(",")]
        return figures_of_ensemble(config, folders, output / config)
    figures = []
    for seed in seeds:
        folder = output / f"{config}_seed{seed}"
        run_flags = [f"--flagfile={flagfile}", *more, f"--seed={seed}", f"--output_dir={folder}"]
        figures.append(figures_of_run(folder, run_flags))
    return figures


def figures_of_run(folder, run_flags):
    """The metrics.json of a run, a dict; trains it unless that is done, or being done."""
    remark = "done before"
    while not (folder / "metrics.json").exists():
        if trainer := run_directory.trainer(folder):
            print(f"{folder.name}: waiting for {trainer}, which trains it", flush=True)
            while run_directory.trainer(folder):
                time.sleep(1)
            remark = "done by another process"
            continue
        try:
            return run_script("train.py", folder, run_flags)
        except ValueError:
            if not run_directory.trainer(folder):
                raise
    run_directory.check_flags(folder, all_flags(run_flags))
    return report(folder, remark)


def figures_of_ensemble(config, folders, folder):
    """The metrics.json of a deep ensemble, in a list; empty as long as it lacks runs."""
    missing = [str(run) for run in folders if not (run / "metrics.json").exists()]
    if missing:
        print(f"{config}: left out, it needs {', '.join(missing)}")
        return []
    figures = folder / "metrics.json"
    if not figures.exists():
        run_flags = [f"--model={','.join(map(str, folders))}", f"--output_dir={folder}"]
        run_flags += [f"--data_dir={FLAGS.data_dir}"] if FLAGS.data_dir else []
        try:
            return [run_script("evaluate.py", folder, run_flags)]
        except ValueError:
            if not figures.exists():  # else another process was faster
                raise
    if any((run / "model.keras").stat().st_mtime > figures.stat().st_mtime for run in folders):
        raise ValueError(f"{folder} is older than its runs; remove it to have it judged again")
    return [report(folder, "done before")]


def all_flags(run_flags):
    """Every flag of a run, as `train_flags.lines` gives them, from its command line."""
    with flagsaver.flagsaver():
        for name in [flag.name for flag in FLAGS.get_flags_for_module(train_flags)]:
            FLAGS[name].unparse()
        FLAGS(["train.py", *run_flags])
        return train_flags.lines()


def run_script(script, folder, script_flags):
    """Runs a script that writes `folder`, its log beside it; returns its figures.

    A signal goes on to it; it saves itself, and both end.
    """
    log = folder.with_name(f"{folder.name}.log")
    command = [sys.executable, str(ROOT / "scripts" / script), *script_flags]
    start = time.perf_counter()
    process = None
    with (
        open(log, "a") as file,
        interruption.Request(lambda number: process and process.send_signal(number)) as request,
    ):
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ending.SIGNALS)  # until it can answer
        try:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if request.signal:  # before there was a process
            process.send_signal(signal.Signals[request.signal])
        print(f"{folder.name} …  (log: {log})", flush=True)
        exit_code = process.wait()
    said = log.read_text(errors="replace").strip().splitlines() or ["no output"]
    if request.signal and exit_code in (0, interruption.EXIT_CODE):
        raise interruption.Interrupted(request.signal)
    if exit_code == interruption.EXIT_CODE:
        raise interruption.Interrupted(f"{folder.name}, which says: {said[-1]}")
    if exit_code:
        raise ValueError(f"{folder.name}: {said[-1]}")
    return report(folder, f"{time.perf_counter() - start:.0f} s")


def report(folder, remark):
    """Reads a run's figures and prints a line about it."""
    figures = json.loads((folder / "metrics.json").read_text())
    if "nll" not in figures:
        raise ValueError(f"{folder}/metrics.json is from an earlier version; judge the run again")
    print(f"{folder.name}: {figures['accuracy']:.2%}  ({remark})", flush=True)
    return figures


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
        panel.xaxis.set_major_locator(MaxNLocator(4))
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
    panels[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    ending.run(main)
