"""What a damaged run, or one that lacks something, makes the scripts say: one line."""

import os
import shutil
import signal

import pytest
from scripts_at_work import DIGITS, assert_refused, exit_messages, refusal, said_of
from shared_fixtures import first_epoch_of

from mixmo_tf import experiments
from mixmo_tf.experiments import directory, run_flags, run_lock
from mixmo_tf.training import checkpoints, history

pytestmark = pytest.mark.usefixtures("shallow")


@pytest.fixture
def copy(finished, tmp_path):
    """Makes a copy of the finished run, in which a file is changed by a function of its bytes."""

    def make(name, file=None, change=None):
        path = shutil.copytree(finished[0], tmp_path / name)
        if file:
            (path / file).write_bytes(change((path / file).read_bytes()))
        return path

    return make


def without_column(name):
    def change(content):
        lines = [line.split(b",") for line in content.splitlines()]
        column = lines[0].index(name)
        kept = [cells[:column] + cells[column + 1 :] for cells in lines]
        return b"".join(b",".join(cells) + b"\r\n" for cells in kept)

    return change


BINARY = bytes(range(128, 256))


def test_what_is_damaged_is_named(copy):
    cases = [
        ("dataset.json", lambda _: b"[]", "is damaged (it holds [])"),
        ("dataset.json", lambda _: BINARY, "is damaged ("),
        ("dataset.json", lambda _: b'{"image_shape": 3, "class_names": 4}', "other images (image"),
        ("history.csv", without_column(b"val_accuracy"), "is damaged (no column val_accuracy)"),
        ("history.csv", lambda all: all.split(b"\n")[0] + b"\n" + BINARY + b"\n", "is damaged ("),
        ("history.csv", lambda all: b"epoch," + BINARY + b"\n" + all, "is damaged ("),
        ("history.csv", lambda _: BINARY, "lacks some of the 1 epochs"),
        ("history.csv", lambda all: all.replace(b"\r\n1,", b"\r\none,"), "(epoch is 'one')"),
        ("history.csv", lambda all: all.replace(b"\r\n1,", b"\r\n1,1,"), "has not 11 columns"),
        ("run.flags", lambda _: BINARY, "is damaged ("),
        ("run.flags", lambda all: all.replace(b"alpha=2.0", b"alpha=two"), "--alpha two there, 2"),
        ("run.flags", lambda all: all + b"--gone=3\n", "has --gone=3, a flag that this version"),
    ]
    paths = [copy(f"{i}", file, change) for i, (file, change, _) in enumerate(cases)]
    before = [sorted(path.rglob("*.*")) for path in paths]
    for path, (file, _, message) in zip(paths, cases, strict=True):
        ending = refusal("train", *DIGITS, f"--output_dir={path}")
        assert message in ending
        assert str(path / file if "damaged" in message else path) in ending
    assert [sorted(path.rglob("*.*")) for path in paths] == before


def test_a_run_whose_flags_are_damaged_is_not_evaluated(copy):
    bad = lambda all: all.replace(b"_examples=0", b"_examples=many")  # noqa: E731
    run = copy("number", "run.flags", bad)
    binary = copy("binary", "run.flags", lambda _: BINARY)
    for script in ("evaluate", "export"):
        number = f"{run / 'run.flags'} is damaged: --validation_examples is 'many'"
        cases = (run, number), (binary, f"{binary / 'run.flags'} is damaged")
        assert_refused(script, [([f"--model={path}"], message) for path, message in cases])


@pytest.mark.parametrize("content", [b"", b"no model\n"])
def test_what_is_no_keras_file_is_named(copy, content):
    run = copy("run", "model.keras", lambda _: content)
    file = run / "model.keras"
    for script, flags in (
        ("evaluate", [f"--model={run}"]),
        ("export", [f"--model={file}"]),
        ("show_encoders", [f"--model={run}"]),
        ("train", [*DIGITS, f"--initialize_from={file}", f"--output_dir={run / 'new'}"]),
    ):
        message = f"{file} is no readable .keras file: it is damaged, no zip archive or cut short"
        assert_refused(script, [(flags, message)])
    for checkpoint in (run / "checkpoints").iterdir():
        checkpoint.write_bytes(content)
    message = f"no checkpoint in {run / 'checkpoints'} can be read"
    assert_refused("train", [([*DIGITS, f"--output_dir={run}"], message)])


def test_only_checkpoints_are_taken_for_checkpoints(finished, copy, tmp_path):
    """A folder and a user's file with such a name stay, and the good ones beside are taken."""
    path = first_epoch_of(finished, tmp_path / "run")
    folder = path / "checkpoints"
    (folder / "step_99999999.keras" / "mine").mkdir(parents=True)
    mine = [folder / "step_best.keras", folder / "step_1.keras"]
    for file in mine:
        file.write_text("mine")
    said = said_of("train", *DIGITS, f"--output_dir={path}", "--checkpoint_steps=5")
    assert "holds 1 of 2 epochs; going on from there" in said
    assert all(file.read_text() == "mine" for file in mine)
    assert (folder / "step_99999999.keras" / "mine").is_dir()
    steps = [checkpoints.step_of(file) for file in checkpoints.files(folder)]
    assert steps == [40, 44]


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    for step in (99_999_999, 100_000_000, 5):
        (tmp_path / f"step_{step:08d}.keras").touch()
    steps = [checkpoints.step_of(file) for file in checkpoints.files(tmp_path)]
    assert steps == [5, 99_999_999, 100_000_000]


def test_a_flag_that_is_new_has_its_default_in_old_runs(finished, copy):
    """Runs whose run.flags lacks lines go on, if the flags have their defaults now."""

    def without(*names):
        lines = [f"--{name}=" for name in names]

        def change(content):
            kept = [line for line in content.decode().splitlines(keepends=True)
                    if not line.startswith(tuple(lines))]  # fmt: skip
            assert len(kept) + len(names) == len(content.splitlines())
            return "".join(kept).encode()

        return change

    old = copy("old", "run.flags", without("augmix", "weight_root", "deterministic", "msda"))
    other = copy("other", "run.flags", without("filters"))
    said_of("train", *DIGITS, f"--output_dir={old}")
    flags = [*DIGITS, f"--output_dir={old}", "--augmix"]
    cases = [(flags, "other flags (--augmix false there, true here)")]
    flags = [*DIGITS, f"--output_dir={other}"]
    assert_refused("train", [*cases, (flags, "other flags (--filters 16 there, 4 here)")])


@pytest.mark.parametrize(
    "metrics",
    [
        {"accuracy": None},
        {"accuracy": "much"},
        {"member_accuracy": 5},
        {"member_accuracy": [None, 0.5]},
        {"best": {"epoch": 1}},
        {"best": []},
        {"ratio_error": "none"},
        {"both_wrong": [None]},
    ],
)
def test_metrics_of_another_kind_are_none(finished, metrics):
    """They are shown by train.py and reproduce.py; of a run that lacks them, they are made anew."""
    whole = directory.read_metrics(finished[0])
    assert directory.are_metrics(whole)
    assert directory.are_metrics({**whole, "nll": None, "ratio_error": None})
    assert not directory.are_metrics({**whole, **metrics})


@pytest.mark.parametrize(
    "right, wrong",
    [
        (b'"accuracy": ', b'"accuracy": null, "was": '),
        (b'"steps": 44', b'"steps": "44"'),
        (b'"steps": 44', b'"steps": 22'),
    ],
)
def test_a_run_with_such_metrics_is_evaluated_again(finished, copy, right, wrong):
    """The steps are of a training: an evaluation has none, so they are no part of the kind."""
    path = copy("run", "metrics.json", lambda content: content.replace(right, wrong, 1))
    file = "metrics.json"
    assert (path / file).read_bytes() != (finished[0] / file).read_bytes()
    assert exit_messages("train", [*DIGITS, f"--output_dir={path}"]) == [None]
    assert (path / file).read_bytes() == (finished[0] / file).read_bytes()


@pytest.mark.parametrize("name", ["run.flags", "dataset.json", "history.csv", "metrics.json"])
def test_a_pipe_in_a_files_place_is_not_waited_for(copy, name):
    path = copy("run")
    (path / name).unlink()
    os.mkfifo(path / name)
    signal.alarm(300)  # which ends a process that waits
    (ending,) = exit_messages("train", [*DIGITS, f"--output_dir={path}"])
    signal.alarm(0)
    assert ending == f"train.py: {path / name} is no file"


def test_a_lock_of_something_else_stays(tmp_path):
    """Whether a run is there or not; run.lock is no rare name."""
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    for i, make in enumerate(
        [
            lambda lock: lock.write_text("mine"),
            lambda lock: lock.symlink_to(mine),
            lambda lock: lock.symlink_to(tmp_path / "nowhere"),
            lambda lock: lock.mkdir(),
            os.mkfifo,
        ]
    ):
        lock = tmp_path / f"{i}" / "run.lock"
        lock.parent.mkdir()
        make(lock)
        for start in (
            lambda folder: directory.start(folder, ["--alpha=2"], {"--alpha": "2"}),
            run_lock.trainer,
        ):
            with pytest.raises(ValueError, match=f"{lock} is no lock of a run"):
                start(lock.parent)
        assert [file.name for file in lock.parent.iterdir()] == ["run.lock"]
    assert mine.read_text() == "mine" and not (tmp_path / "nowhere").exists()
    assert (tmp_path / "0" / "run.lock").read_text() == "mine"


@pytest.mark.parametrize("accuracy", ["nan", "inf", "-inf"])
def test_an_accuracy_that_is_not_finite_is_damage(tmp_path, accuracy):
    """No later epoch would be better; a loss may well be infinite."""
    text = "epoch,val_accuracy,val_loss\r\n0,{},inf\r\n"
    (tmp_path / history.NAME).write_text(text.format("0.5"))
    assert history.best_epoch(tmp_path) == (1, 0.5)
    (tmp_path / history.NAME).write_text(text.format(accuracy))
    with pytest.raises(ValueError, match=f"history.csv is damaged .val_accuracy is {accuracy}"):
        history.best_epoch(tmp_path)


def test_whatever_may_stand_in_a_path_stands_in_a_line(tmp_path, monkeypatch):
    """str.splitlines has more line ends than files do."""
    lines = [f"--dataset=image_folder:/a{end}b" for end in "\x0b\x0c\x1c\x85\u2028"]
    lines = [f"{line}{i}".replace("--dataset", f"--d{i}") for i, line in enumerate(lines)]
    run_flags.write(tmp_path, {}, lines)
    assert [f"{name}={value}" for name, value in run_flags.read(tmp_path).items()] == lines
    (tmp_path / run_flags.NAME).write_bytes(b"--a=1\r\n--b=2\r\n")  # of an editor
    assert run_flags.read(tmp_path) == {"--a": "1", "--b": "2"}
    bad = "--output_dir=a\n--seed=5", "--data_dir=a\r", "--output_dir=a\udcff"
    assert_refused("train", [([flag], "must be one line of UTF-8, got '") for flag in bad])
    (tmp_path / "a\n--seed=5").mkdir()
    monkeypatch.chdir(tmp_path / "a\n--seed=5")
    with pytest.raises(ValueError, match=r"^dataset must be one line of UTF-8, got [^\n]*$"):
        experiments.train(experiments.Settings(dataset="image_folder:b"))
