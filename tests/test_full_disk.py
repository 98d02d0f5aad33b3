"""A full disk names the file that could not be written, in every script; the rest stays.

RLIMIT_FSIZE makes writes fail in the middle, as a disk without space does.
"""

import json
import shutil

import pytest
from scripts_at_work import DIGITS, exit_messages, full_disk
from small_models import tiny_model
from suites_at_work import CONFIGS, finish

from mixmo_tf.deployment import save_torch_checkpoint
from mixmo_tf.training import history, logs


def on_a_full_disk(script, size, *calls):
    """What calls end with where every file ends at `size` bytes."""
    with full_disk(size):
        return exit_messages(script, *calls)


def said(script, file):
    return f"{script}.py: cannot write {file}: File too large"


def test_training(finished, tmp_path, kept_models):
    """A new run, and finished ones that lack something."""
    runs = {name: shutil.copytree(finished[0], tmp_path / name) for name in ("model", "metrics")}
    for name, file in (("model", "model.keras"), ("metrics", "metrics.json")):
        (runs[name] / file).unlink()
    flags = {name: [*DIGITS, f"--output_dir={tmp_path / name}"] for name in ("new", *runs)}
    first_files = on_a_full_disk("train", 100, flags["new"], flags["metrics"])
    assert first_files == [
        said("train", tmp_path / "new" / "run.flags"),
        said("train", runs["metrics"] / "metrics.json"),
    ]
    models = on_a_full_disk("train", 20_000, flags["new"], flags["model"])
    assert models == [
        said("train", tmp_path / "new" / "checkpoints" / "step_00000022.keras"),
        said("train", runs["model"] / "model.keras"),
    ]
    assert not list(tmp_path.rglob("partial-*"))
    assert not list((tmp_path / "new" / "checkpoints").iterdir())
    assert not (runs["model"] / "model.keras").exists()
    assert not (runs["metrics"] / "metrics.json").exists()


def test_curves_and_history(tmp_path):
    tensorboard = logs.TensorBoardLogs(tmp_path / "tensorboard", 8, 5)
    tensorboard.set_model(tiny_model())
    tensorboard.on_train_begin()
    with full_disk(10), pytest.raises(OSError, match=f"^cannot write {tmp_path}/tensorboard: File"):
        tensorboard.on_epoch_end(0, {"val_loss": 1.0})
    lines = history.History(tmp_path)
    lines.on_epoch_end(0, {"val_accuracy": 0.5, "loss": 1.0})
    before = (tmp_path / "history.csv").read_text()
    assert before.split() == ["epoch,loss,val_accuracy", "0,1.0,0.5"]
    with full_disk(30), pytest.raises(OSError, match=f"^cannot write {tmp_path}/history.csv: File"):
        lines.on_epoch_end(1, {"val_accuracy": 0.5, "loss": 1.0})
    assert (tmp_path / "history.csv").read_text() == before


@pytest.mark.torch
def test_the_other_scripts(finished, published, tmp_path):
    path, _, _ = finished
    model, output = f"--model={path}", tmp_path / "x"
    metrics = tmp_path / "kept.json"
    metrics.write_text(json.dumps({"accuracy": 0.5}))
    kept, torch = tmp_path / "x.keras", tmp_path / "x.pt"
    published.save(kept)
    save_torch_checkpoint(published, torch)
    suite = tmp_path / "suite"
    for config in CONFIGS:
        finish(suite, config, 0, {"accuracy": 0.5, "member_accuracy": [0.5], "nll": 1.0})
    before = sorted(tmp_path.rglob("*"))
    cases = {
        "evaluate": (
            100,
            ([model, f"--json={metrics}"], metrics),
            ([model, f"--json={tmp_path / 'new.json'}"], tmp_path / "new.json"),
            ([model, f"--output_dir={output}"], output),
        ),
        "export": (
            1000,
            *(
                ([model, "--check_images=0", f"--format={name}", f"--output_dir={output}"], output)
                for name in ("saved_model", "onnx", "litert")
            ),
        ),
        "convert_checkpoint": (
            20_000,
            ([f"--input={kept}", f"--output={tmp_path / 'y.pt'}"], tmp_path / "y.pt"),
            ([f"--input={torch}", f"--output={tmp_path / 'y.keras'}"], tmp_path / "y.keras"),
        ),
        "show_masks": (1000, (["--mixing=cow", f"--output_dir={tmp_path}"], tmp_path / "cow.png")),
        "show_encoders": (
            1000,
            *(
                ([model, f"--output={output}.{ending}"], f"{output}.{ending}")
                for ending in ("png", "pdf", "svg")
            ),
        ),
        "reproduce": (50, (["--seeds=0", f"--output_dir={suite}"], suite / "digits.md")),
    }
    for script, (size, *calls) in cases.items():
        endings = on_a_full_disk(script, size, *(flags for flags, _ in calls))
        assert endings == [said(script, file) for _, file in calls]
    assert sorted(tmp_path.rglob("*")) == before
    assert json.loads(metrics.read_text()) == {"accuracy": 0.5}
