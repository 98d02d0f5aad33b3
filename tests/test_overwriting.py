"""Commands write where nothing of a user's stands, and take the place of their own files alone."""

import hashlib
import json
import os
import pathlib
import shutil
import tempfile

import forking
import pytest
from scripts_at_work import DIGITS, ROOT, command, exit_messages, refusal, said_of
from suites_at_work import CONFIGS, finish
from test_outputs import names

from mixmo_tf import evaluation, experiments, outputs
from mixmo_tf.deployment import save_torch_checkpoint
from mixmo_tf.experiments import EvaluationSettings, directory, evaluation_files
from mixmo_tf.training import checkpoints

# What each command is told to write, in one folder.
OUTPUTS = (
    "results", "kept.json", "exported", "x.keras", "x.pt", "encoders.png", "cow.png",
    "digits.md", "digits.png", "run", "model.keras", "run.flags",
)  # fmt: skip


def put_decoys(folder):
    """Files and folders of a user with names like those that programs write under."""
    for name in OUTPUTS:
        for i, start in enumerate(("partial-", ".partial-", "tmp-", ".tmp-")):
            decoy = folder / f"{start}{name}"
            if (i + len(name)) % 2:
                decoy.write_text(f"mine: {name}")
            else:
                decoy.mkdir()
                (decoy / "notes").write_text(f"mine: {name}")


def contents(folder):
    """The decoys' hashes."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {
        file.relative_to(folder): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if any("partial-" in part or "tmp-" in part for part in file.relative_to(folder).parts)
    }


@pytest.mark.torch
@pytest.mark.usefixtures("kept_models")
def test_files_that_look_like_partial_ones_survive_every_command(finished, published, tmp_path):
    path, flags, _ = finished
    work = tmp_path / "work"
    work.mkdir()
    put_decoys(work)
    (work / "new").mkdir()
    put_decoys(work / "new")
    before = contents(tmp_path)
    model = f"--model={path}"
    of_torch, torch = tmp_path / "to.keras", tmp_path / "from.pt"
    published.save(of_torch)
    save_torch_checkpoint(published, torch)
    for config in CONFIGS:
        finish(work, config, 0, {"accuracy": 0.5, "member_accuracy": [0.5], "nll": 1.0})
    calls = {
        "train": [[*flags, "--epochs=1", f"--output_dir={work / n}"] for n in ("run", "new")],
        "evaluate": [[model, f"--json={work / 'kept.json'}", f"--output_dir={work / 'results'}"]],
        "export": [[model, "--check_images=0", f"--output_dir={work / 'exported'}"]],
        "convert_checkpoint": [
            [f"--input={torch}", f"--output={work / 'x.keras'}"],
            [f"--input={of_torch}", f"--output={work / 'x.pt'}"],
        ],
        "show_encoders": [[model, f"--output={work / 'encoders.png'}"]],
        "show_masks": [["--mixing=cow", "--rows=1", f"--output_dir={work}"]],
        "reproduce": [["--suite=digits", "--seeds=0", f"--output_dir={work}"]],
    }
    for script, of_script in calls.items():
        assert exit_messages(script, *of_script) == [None] * len(of_script), script
        assert contents(tmp_path) == before, script
    assert all((work / name).exists() for name in OUTPUTS[:10])


def test_two_commands_with_one_output(finished, tmp_path, monkeypatch):
    """The one that is done first wins; the other says so, and nothing of it is in the result."""
    path, results = finished[0], tmp_path / "results"
    copy = shutil.copytree(path, tmp_path / "copy")
    keep = evaluation_files._keep_one

    def keep_later(*arguments):
        monkeypatch.setattr(evaluation_files, "_keep_one", keep)
        experiments.evaluate(EvaluationSettings(model=copy, output_dir=results))
        keep(*arguments)

    monkeypatch.setattr(evaluation_files, "_keep_one", keep_later)
    (said,) = exit_messages("evaluate", [f"--model={path}", f"--output_dir={results}"])
    assert said == f"evaluate.py: cannot write {results}: another process has written it meanwhile"
    assert {file.name for file in results.iterdir()} == {
        "run.flags", "predictions.npz", "metrics.json", "model.keras",
    }  # fmt: skip
    assert evaluation.read_metrics(results)["models"] == [str(copy)]
    assert (results / "run.flags").read_text().startswith(f"# of {copy}\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy", "results"]


def test_what_is_no_output_of_ours_is_refused(finished, tmp_path):
    """--json and pictures take the place of their own kind alone."""
    path, _, _ = finished
    run_folder = shutil.copytree(path, tmp_path / "run")
    files = {name: tmp_path / name for name in ("notes.txt", "x.json", "cow.png", "a.png", "d.md")}
    for file in files.values():
        file.write_text('{"mine": 1}')
    shutil.copy(files["d.md"], tmp_path / "digits.md")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    model = f"--model={run_folder}"
    cases = {
        "evaluate": [
            [model, f"--json={run_folder / 'model.keras'}"],
            [model, f"--json={run_folder / 'dataset.json'}"],
            [model, f"--json={files['notes.txt']}"],
            [model, f"--json={files['x.json']}"],
        ],
        "show_encoders": [[model, f"--output={files['a.png']}"]],
        "show_masks": [[f"--output_dir={tmp_path}", "--mixing=linear,cow"]],
        "reproduce": [[f"--output_dir={tmp_path}"]],
    }
    for script, calls in cases.items():
        for flags in calls:
            ending = refusal(script, *flags)
            assert f"{tmp_path}" in ending and "exists and " in ending
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_metrics_and_pictures_are_made_anew(finished, tmp_path):
    path, _, _ = finished
    flags = [f"--model={path}", f"--json={tmp_path / 'x.json'}"]
    (tmp_path / "x.json").touch()
    assert exit_messages("evaluate", flags, flags) == [None, None]
    flags = [f"--model={path}", f"--output={tmp_path / 'x.svg'}"]
    assert exit_messages("show_encoders", flags, flags) == [None, None]
    assert names(tmp_path) == ["x.json", "x.svg"]


@pytest.mark.usefixtures("kept_models")
def test_a_finished_run_that_is_repeated_stays_as_it_was(finished, tmp_path):
    """To the last byte; what is missing is made again, and what is another model's."""
    path = shutil.copytree(finished[0], tmp_path / "run")
    flags = [*DIGITS, f"--output_dir={path}"]

    def files():
        found = [file for file in path.rglob("*") if file.is_file()]
        return {
            file: (file.stat().st_mtime_ns, file.read_bytes())
            for file in found
            if "tensorboard" not in str(file) and file.name != "run.lock"  # says who trains
        }

    before = files()
    said = said_of("train", *flags)
    assert files() == before
    assert "holds 2 of 2 epochs; nothing is left to train" in said
    assert "ensemble accuracy  " in said
    assert f"\nThe model is {path / 'model.keras'}, the metrics " in said
    (path / "metrics.json").unlink()
    model = checkpoints.load_model(path)
    assert exit_messages("train", flags) == [None]
    after = files()
    model_file, metrics = path / "model.keras", path / "metrics.json"
    assert after[model_file] == before[model_file] and after[metrics][1] == before[metrics][1]
    shutil.copy(path / "checkpoints" / "step_00000022.keras", model_file)
    assert exit_messages("train", flags) == [None]
    assert checkpoints.holds(model_file, model)


@pytest.fixture
def in_memory():
    """A folder below /dev that is one like any other."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("the system has no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield pathlib.Path(folder)


def test_a_file_below_dev_is_a_users_as_well(finished, in_memory):
    mine = in_memory / "mine.txt"
    mine.write_text("mine")
    new = in_memory / "new.json"
    model = f"--model={finished[0]}"
    refused, made = exit_messages("evaluate", [model, f"--json={mine}"], [model, f"--json={new}"])
    assert f"{mine} exists and holds no metrics" in refused and mine.read_text() == "mine"
    both = [model, f"--json={mine}.new", f"--output_dir={mine}.new"]
    (refused,) = exit_messages("evaluate", both)
    assert "json and output_dir must be two paths" in refused
    with pytest.raises(OSError, match="cannot write /dev/full: No space left on device"):
        outputs.write(pathlib.Path("/dev/full"), "text")
    assert made is None and evaluation.read_metrics(new)["examples"] == 360


def test_what_stands_before_metrics_in_an_output_stays(finished, tmp_path):
    """/dev/stdout leads to a file; opened by its name, it would be emptied."""
    file = tmp_path / "log"
    file.write_text("mine\n")
    with open(file, "a") as log:
        flags = f"--model={finished[0]}", "--json=/dev/stdout"
        result = forking.run(command("evaluate.py", *flags), cwd=ROOT, stdout=log)
    assert result.returncode == 0
    content = file.read_text()
    assert content.startswith("mine\n") and "Temperatures fitted" in content
    metrics = json.loads(content[content.index("{") :])
    assert metrics["temperature_fitted_on"].startswith("the other nine")
    assert metrics["accuracy"] == pytest.approx(directory.read_metrics(finished[0])["accuracy"])


def test_a_link_that_leads_to_itself_is_one_line(finished, tmp_path):
    loop = tmp_path / "loop.keras"
    loop.symlink_to(loop)
    model = f"--model={finished[0]}"
    for script, flags in (
        ("evaluate", [model, f"--json={loop}"]),
        ("evaluate", [model, f"--output_dir={loop}"]),
        ("evaluate", [f"--model={loop}"]),
        ("export", [model, f"--output_dir={loop}"]),
    ):
        assert str(loop) in refusal(script, *flags)
    with pytest.raises(OSError, match="loop.keras is a link that leads to itself"):
        outputs.write(loop, "text")
    assert names(tmp_path) == ["loop.keras"] and loop.is_symlink()
