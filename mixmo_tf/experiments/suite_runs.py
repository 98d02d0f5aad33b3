"""The runs of a suite: each a process of its own, which is skipped, waited for or started."""

import contextlib
import logging
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from mixmo_tf import evaluation
from mixmo_tf.experiments import directory, ending, fields, run_flags, run_lock
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.paths import beside_package, content
from mixmo_tf.training import signals

_folder = beside_package  # of the scripts and configs; tests put other scripts in their place
_LOG_START = "reproduce.py: "  # of the first line of each log, the command
_log = logging.getLogger(__name__)


def complete(config: str, settings: Any, output: pathlib.Path) -> list[dict]:
    """The metrics.json of every run of a config, a list of dicts; trains what is missing.

    `config` names a flagfile in configs/, `settings` are SuiteSettings, and `output` has the runs'
    folders.
    """
    if members := _members_of(config):
        folders = [output / name for name in members]
        return complete_ensemble(config, folders, output / config, settings.data_dir)
    runs = []
    for seed, folder in zip(settings.seeds, _folders(config, settings.seeds, output), strict=True):
        of_run = settings.of_runs() | {"seed": seed, "output_dir": folder}
        runs.append(_complete_run(folder, _flagfile(config), of_run, bool(settings.extend)))
    return runs


def complete_ensemble(
    config: str, folders: Sequence[pathlib.Path], folder: pathlib.Path, data_dir: str | None
) -> list[dict]:
    """The metrics.json of a deep ensemble of the runs in `folders`, in a list.

    It is empty as long as one of the runs is missing.
    """
    missing = [str(run) for run in folders if not directory.is_finished(run)]
    if missing:
        _log.info("%s: left out, it needs %s", config, ", ".join(missing))
        return []
    metrics = folder / "metrics.json"
    if not metrics.exists():
        of_ensemble = {"model": ",".join(map(str, folders)), "output_dir": folder}
        of_ensemble |= {"data_dir": data_dir} if data_dir else {}
        try:
            return [_run_script("evaluate.py", folder, of_ensemble)]
        except ValueError:
            if not metrics.exists():  # else another process was faster
                raise
    if any((run / "model.keras").stat().st_mtime > metrics.stat().st_mtime for run in folders):
        raise ValueError(f"{folder} is older than its runs; remove it to have it evaluated again")
    return [read(folder, "done before")]


def check_logs(config: str, seeds: Sequence[int], output: pathlib.Path) -> None:
    """Raises FileExistsError where a file has the name of a log of these runs and is none.

    Logs of earlier versions do not begin with the command. They are known by the run beside
    them, or by a line with which its script ended before there was one.
    """
    for run in _folders(config, seeds, output):
        file, files_of_run = _log_file(run), (run_flags.NAME, "metrics.json")
        if not file.exists() or any((run / name).exists() for name in files_of_run):
            continue
        said = content(file)
        of_scripts = (b"train.py: ", b"evaluate.py: ")
        is_own = said.startswith(_LOG_START.encode()) or any(
            line.startswith(of_scripts) for line in said.splitlines()
        )
        if said and not is_own:
            raise FileExistsError(f"{file} exists and is no log of this script; move it")


def read(folder: pathlib.Path, remark: str) -> dict:
    """What metrics.json says of a run; a line about it is logged."""
    metrics = evaluation.read_metrics(folder)
    if not directory.are_metrics(metrics):
        raise ValueError(
            f"{folder}/metrics.json is damaged, or from an earlier version; evaluate the run again"
        )
    if metrics.get("ratio_error_published") is not None and "both_wrong" not in metrics:
        remark += "; from an earlier version, without the counts that a ratio-error is of"
    if "stopped_early" in metrics:
        epochs = metrics["stopped_early"].get("of_epochs")
        remark += f"; ended early, after epoch {metrics.get('epochs')} of {epochs}"
    if extensions := run_flags.extensions(folder):
        remark += "; " + ", ".join(extensions)
        metrics["extensions"] = extensions
    _log.info("%s: %s  (%s)", folder.name, f"{metrics['accuracy']:.2%}", remark)
    return metrics


def _flagfile(config):
    return _folder("configs") / f"{config}.flags"


def _members_of(config):
    """Names of the runs' folders that a deep ensemble needs; none for another config."""
    lines = _flagfile(config).read_text(encoding="utf-8").splitlines()
    models = [line.partition("=")[2] for line in lines if line.startswith("--model=")]
    return [pathlib.Path(name).name for name in models[0].split(",")] if models else []


def _folders(config, seeds, output):
    """The folders that are written for a config."""
    if _members_of(config):
        return [output / config]
    return [output / f"{config}_seed{seed}" for seed in seeds]


def _complete_run(folder, flagfile, changes, extend):
    """The metrics.json of a run, a dict; trains it unless that is done, or being done."""
    settings = Settings.from_flagfile(flagfile, **changes)
    remark = "done before"
    while True:
        is_extended = False
        if (folder / run_flags.NAME).exists():
            is_extended = run_flags.check(folder, settings.lines(), Settings().of_run(), extend)
            if not is_extended and directory.is_finished(folder):
                return read(folder, remark)
        if trainer := run_lock.trainer(folder):
            _log.info("%s: waiting for %s, which trains it", folder.name, trainer)
            while run_lock.trainer(folder):
                time.sleep(1)
            remark = "done by another process"
            continue
        try:
            its_flags = {"flagfile": flagfile} | changes | {"extend": is_extended}
            return _run_script("train.py", folder, its_flags)
        except ValueError:
            if not run_lock.trainer(folder):
                raise


def _run_script(script, folder, its_flags):
    """Runs a script that writes `folder`, its log beside it; returns what metrics.json says.

    A signal goes on to it; it saves itself, and both end.
    """
    log = _log_file(folder)
    command = [sys.executable, str(_folder("scripts") / script)]
    command += [f"--{name}={fields.text(value)}" for name, value in its_flags.items()]
    start = time.perf_counter()
    process = None
    with (
        open(log, "a", encoding="utf-8", errors="surrogateescape") as file,
        signals.StopRequest(lambda number: process and process.send_signal(number)) as request,
    ):
        file.write(f"{_LOG_START}{shlex.join(command)}\n")
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
        _log.info("%s …  (log: %s)", folder.name, log)
        exit_code = _wait(process)
    said = log.read_bytes()[said_before:].decode(errors="replace").strip().splitlines()
    said = said or ["no output"]
    if request.signal and exit_code in (0, signals.EXIT_CODE):
        raise signals.Interrupted(request.signal)
    if exit_code == signals.EXIT_CODE:
        raise signals.Interrupted(f"{folder.name}, which says: {said[-1]}")
    if exit_code:
        raise ValueError(f"{folder.name}: {said[-1]}")
    return read(folder, f"{time.perf_counter() - start:.0f} s")


def _wait(process):
    """The exit code of a process, once it has ended; signals of this one are answered meanwhile.

    A signal that comes right before a call which blocks is answered only after it, so none blocks
    for longer than a second.
    """
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=1)


def _log_file(folder):
    """Where the output of the script that writes `folder` goes."""
    return folder.with_name(f"{folder.name}.log")
