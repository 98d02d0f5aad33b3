"""A suite: a list of configs, trained with several seeds and reported side by side."""

import dataclasses
import logging
import typing
from typing import Any

from mixmo_tf import arguments, outputs
from mixmo_tf.evaluation.metrics import heading, over_runs, written
from mixmo_tf.experiments import suite_runs, suites, tables
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.of_flags import OfFlags, check_is
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.paths import content, expanded
from mixmo_tf.plots import comparison, files

COLUMNS = {key: heading(key) for key in ("accuracy", "member_accuracy", "nll", "ratio_error")}
COLUMNS["accuracy"] = f"ensemble {COLUMNS['accuracy']}"
_TABLE_START = "| method | runs"
_OF_SUITE = ("output_dir", "seed", "extend")  # a run gets its own of these
_log = logging.getLogger(__name__)


def _unset(settings_class):
    """A class of the same settings, none of which is set."""
    kinds = typing.get_type_hints(settings_class)
    fields = []
    for each in dataclasses.fields(settings_class):
        field = dataclasses.field(default=None, metadata=each.metadata)
        fields.append((each.name, kinds[each.name] | None, field))
    options = {"bases": (OfFlags,), "frozen": True, "kw_only": True}
    return dataclasses.make_dataclass(f"Unset{settings_class.__name__}", fields, **options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteSettings(_unset(Settings)):
    """What is compared; the flags of reproduce.py. All that a run has may be set, for all runs."""

    suite: str = setting("digits", "Which suite of configs to compare.", choices=suites.NAMES)
    seeds: tuple[int, ...] = setting(
        (0, 1, 2),
        "Seeds of the runs of each config.",
        bounds=(0, arguments.MOST),
        unit="different whole numbers",
    )
    output_dir: str | None = setting(
        None, "Folder of the runs' folders, and of the suite's table and plot; runs if not set."
    )
    seed: int | None = setting(None, "Not for this command: --seeds says each run's own.")
    extend: bool | None = setting(
        None, "Continue the runs that are there with other --epochs, --milestones and --patience."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seed is not None:
            raise ValueError("seed is each run's own; say --seeds")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            named = ",".join(map(str, self.seeds))
            raise ValueError(f"seeds must be different whole numbers, got {named}")

    def of_runs(self) -> dict[str, Any]:
        """What is set for all runs, by name."""
        names = [field.name for field in dataclasses.fields(Settings)]
        values = {name: getattr(self, name) for name in names if name not in _OF_SUITE}
        return {name: value for name, value in values.items() if value is not None}


def reproduce(settings: SuiteSettings) -> dict[str, list[dict]]:
    """Trains what is missing of a suite, and reports after every config.

    Each run is a process of its own. Runs that are done are skipped and one that was interrupted
    goes on, so the same call can be given as often as need be. In `output_dir` it leaves a run's
    folder CONFIG_seedSEED with its log beside it, and of the suite a table, SUITE.md, and a plot,
    SUITE.png.

    Returns:
        What metrics.json says of each run, lists of dicts by the title of the method.

    Raises:
        ValueError, OSError: if a setting or a file is wrong, or a run fails; the message is a line.
        Interrupted: after SIGTERM or Ctrl-C, which the run that trained got too.
    """
    check_is(settings, SuiteSettings)
    output = expanded(settings.output_dir or "runs").absolute()
    output.mkdir(parents=True, exist_ok=True)
    table_file, picture = (output / f"{settings.suite}.{ending}" for ending in ("md", "png"))
    _check_table(table_file)
    files.check(picture)
    configs = suites.configs(settings.suite)
    for config in configs.values():
        suite_runs.check_logs(config, settings.seeds, output)
    runs = {title: [] for title in configs}
    for title, config in configs.items():
        runs[title] = suite_runs.complete(config, settings, output)
        outputs.write(table_file, table(runs), replace=True)
        files.save(comparison.draw(runs, COLUMNS), picture)
    _log.info(table(runs))
    _log.info("Wrote %s and %s.", table_file, picture)
    return runs


def table(runs: dict[str, list[dict]]) -> str:
    """The runs by title as a Markdown table; below it stands which of them were extended."""
    rows = [["method", "runs", *COLUMNS.values()]]
    for title, of_title in runs.items():
        cells = [written(key, *over_runs(of_title, key)) for key in COLUMNS]
        rows.append([title, str(len(of_title)), *cells])
    lines = tables.markdown(rows)
    for title, of_title in runs.items():
        if extended := sum("extensions" in run for run in of_title):
            began = "began with other epochs, milestones or patience (`--extend`)"
            lines += ["", f"{title}: {extended} of {len(of_title)} runs {began}."]
    return "\n".join(lines) + "\n"


def _check_table(file):
    """Raises FileExistsError where there is a file that is no table of this function."""
    if file.exists() and not content(file).startswith(_TABLE_START.encode()):
        raise FileExistsError(f"{file} exists and is no table of this script; move it")
