"""Trains a list of configs with several seeds, and reports them side by side.

    python scripts/reproduce.py --suite=digits

Runs that are done are skipped and one that was interrupted goes on, so the same command can be
given as often as need be. Every flag of train.py may be added; it holds for all runs. In
--output_dir it leaves a run's folder CONFIG_seedSEED with its log beside it, and of the suite a
table, SUITE.md, and a plot, SUITE.png: mean ± standard deviation over the seeds; the ratio-error
is that of the errors of all seeds together. Below the table stands which runs were extended.
"""

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


import train_flags
from absl import flags
from absl.testing import flagsaver

from mixmo_tf import evaluation, outputs
from mixmo_tf.evaluation import over_runs
from mixmo_tf.evaluation.metrics import heading, written
from mixmo_tf.experiments import directory, run_flags, suites
from mixmo_tf.paths import content, expanded
from mixmo_tf.plots import comparison, files
from mixmo_tf.training import signals

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLUMNS = {key: heading(key) for key in ("accuracy", "member_accuracy", "nll", "ratio_error")}
COLUMNS["accuracy"] = f"ensemble {COLUMNS['accuracy']}"

FLAGS = flags.FLAGS
flags.DEFINE_enum("suite", "digits", suites.NAMES, "Which configs to compare.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the runs of each config.")
flags.adopt_module_key_flags(train_flags)
TABLE_START = "| method | runs"
LOG_START = "reproduce.py: "  # of the first line of each log, the command
OF_REPRODUCE = ("output_dir", "seed", "extend")  # a run gets these from here


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"reproduce.py: unknown argument {arguments[1]}; flags start with --")
    try:
        compare(expanded(FLAGS.output_dir or "runs"), seeds_of_runs())
    except (ValueError, OSError) as error:
        sys.exit(f"reproduce.py: {error}")
    except signals.Interrupted as end:
        print(f"reproduce.py: ended by {end}; the same command goes on from there", file=sys.stderr)
        sys.exit(signals.EXIT_CODE)


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
    report_file, picture = (output / f"{FLAGS.suite}.{suffix}" for suffix in ("md", "png"))
    check_table(report_file)
    files.check(picture)
    configs = suites.configs(FLAGS.suite)
    for config in configs.values():
        for folder in folders_of(config, seeds, output):
            check_log(log_of(folder))
    runs = {title: [] for title in configs}
    for title, config in configs.items():
        runs[title] = figures_of(config, seeds, output, more)
        outputs.write(report_file, table(runs), replace=True)
        files.save(comparison.draw(runs, COLUMNS), picture)
    print(table(runs))
    print(f"Wrote {report_file} and {picture}.")


def figures_of(config, seeds, output, more):
    """The metrics.json of every run of a config, a list of dicts; trains what is missing."""
    flagfile = ROOT / "configs" / f"{config}.flags"
    if members := members_of(config):
        return figures_of_ensemble(config, [output / name for name in members], output / config)
    figures = []
    for seed, folder in zip(seeds, folders_of(config, seeds, output), strict=True):
        of_run = [f"--flagfile={flagfile}", *more, f"--seed={seed}", f"--output_dir={folder}"]
        figures.append(figures_of_run(folder, of_run))
    return figures


def members_of(config):
    """Names of the runs' folders that a deep ensemble needs; none for another config."""
    lines = (ROOT / "configs" / f"{config}.flags").read_text(encoding="utf-8").splitlines()
    models = [line.partition("=")[2] for line in lines if line.startswith("--model=")]
    return [pathlib.Path(name).name for name in models[0].split(",")] if models else []


def folders_of(config, seeds, output):
    """The folders that are written for a config."""
    if members_of(config):
        return [output / config]
    return [output / f"{config}_seed{seed}" for seed in seeds]


def figures_of_run(folder, of_run):
    """The metrics.json of a run, a dict; trains it unless that is done, or being done."""
    remark, defaults = "done before", train_flags.default_values()
    while True:
        is_extended = False
        if (folder / run_flags.NAME).exists():
            is_extended = run_flags.check(folder, all_flags(of_run), defaults, FLAGS.extend)
            if not is_extended and directory.is_finished(folder):
                return report(folder, remark)
        if trainer := directory.trainer(folder):
            print(f"{folder.name}: waiting for {trainer}, which trains it", flush=True)
            while directory.trainer(folder):
                time.sleep(1)
            remark = "done by another process"
            continue
        try:
            extends = ["--extend"] if is_extended else []
            return run_script("train.py", folder, [*of_run, *extends])
        except ValueError:
            if not directory.trainer(folder):
                raise


def figures_of_ensemble(config, folders, folder):
    """The metrics.json of a deep ensemble, in a list; empty as long as it lacks runs."""
    missing = [str(run) for run in folders if not directory.is_finished(run)]
    if missing:
        print(f"{config}: left out, it needs {', '.join(missing)}")
        return []
    figures = folder / "metrics.json"
    if not figures.exists():
        of_run = [f"--model={','.join(map(str, folders))}", f"--output_dir={folder}"]
        of_run += [f"--data_dir={FLAGS.data_dir}"] if FLAGS.data_dir else []
        try:
            return [run_script("evaluate.py", folder, of_run)]
        except ValueError:
            if not figures.exists():  # else another process was faster
                raise
    if any((run / "model.keras").stat().st_mtime > figures.stat().st_mtime for run in folders):
        raise ValueError(f"{folder} is older than its runs; remove it to have it judged again")
    return [report(folder, "done before")]


def all_flags(of_run):
    """Every flag of a run, as `train_flags.lines` gives them, from its command line."""
    with flagsaver.flagsaver():
        for name in [flag.name for flag in FLAGS.get_flags_for_module(train_flags)]:
            FLAGS[name].unparse()
        FLAGS(["train.py", *of_run])
        return train_flags.lines()


def run_script(script, folder, script_flags):
    """Runs a script that writes `folder`, its log beside it; returns its figures.

    A signal goes on to it; it saves itself, and both end.
    """
    log = log_of(folder)
    command = [sys.executable, str(ROOT / "scripts" / script), *script_flags]
    start = time.perf_counter()
    process = None
    with (
        open(log, "a", encoding="utf-8", errors="surrogateescape") as file,
        signals.StopRequest(lambda number: process and process.send_signal(number)) as request,
    ):
        file.write(f"{LOG_START}{shlex.join(command)}\n")
        file.flush()
        said_before = file.tell()
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
    said = log.read_bytes()[said_before:].decode(errors="replace").strip().splitlines()
    said = said or ["no output"]
    if request.signal and exit_code in (0, signals.EXIT_CODE):
        raise signals.Interrupted(request.signal)
    if exit_code == signals.EXIT_CODE:
        raise signals.Interrupted(f"{folder.name}, which says: {said[-1]}")
    if exit_code:
        raise ValueError(f"{folder.name}: {said[-1]}")
    return report(folder, f"{time.perf_counter() - start:.0f} s")


def log_of(folder):
    """Where the output of the script that writes `folder` goes."""
    return folder.with_name(f"{folder.name}.log")


def check_log(file):
    """Raises FileExistsError where there is a file that is no log of this script.

    Logs of earlier versions do not begin with the command. They are known by the run beside
    them, or by a line with which its script ended before there was one.
    """
    run = file.with_suffix("")
    if not file.exists() or any((run / name).exists() for name in (run_flags.NAME, "metrics.json")):
        return
    said = content(file)
    of_scripts = (b"train.py: ", b"evaluate.py: ")
    is_own = said.startswith(LOG_START.encode()) or any(
        line.startswith(of_scripts) for line in said.splitlines()
    )
    if said and not is_own:
        raise FileExistsError(f"{file} exists and is no log of this script; move it")


def report(folder, remark):
    """Reads a run's figures and prints a line about it."""
    figures = evaluation.read_metrics(folder)
    if not directory.are_figures(figures):
        raise ValueError(
            f"{folder}/metrics.json is damaged, or from an earlier version; judge the run again"
        )
    if figures.get("ratio_error_published") is not None and "both_wrong" not in figures:
        remark += "; from an earlier version, without the counts that a ratio-error is of"
    if extensions := run_flags.extensions(folder):
        remark += "; " + ", ".join(extensions)
        figures["extensions"] = extensions
    print(f"{folder.name}: {figures['accuracy']:.2%}  ({remark})", flush=True)
    return figures


def check_table(file):
    """Raises FileExistsError where there is a file that is no table of this script."""
    if file.exists() and not content(file).startswith(TABLE_START.encode()):
        raise FileExistsError(f"{file} exists and is no table of this script; move it")


def table(runs):
    """The runs by title as a Markdown table."""
    lines = [f"{TABLE_START} | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for title, of_title in runs.items():
        cells = [title, str(len(of_title))]
        cells += [written(key, *over_runs(of_title, key)) for key in COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
    for title, of_title in runs.items():
        if extended := sum("extensions" in run for run in of_title):
            which = f"{extended} of {len(of_title)} runs began with other epochs or milestones"
            lines += ["", f"{title}: {which} (`--extend`)."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    ending.run(main)
