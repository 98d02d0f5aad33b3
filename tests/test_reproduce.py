"""scripts/reproduce.py: what is done is skipped, what is missing is trained, all is reported."""

import json
import signal
import statistics
import subprocess
import time

import pytest
from scripts_at_work import ROOT, command, run

CONFIGS = (
    "digits_plain", "digits_cutmix", "digits_mimo", "digits_linear_mixmo", "digits",
    "digits_cow_mixmo",
)  # fmt: skip
SMALL = "--filters=2 --epochs=1 --batch_size=64 --batch_repetitions=1"


def finish(output, name, figures, **changes):
    """Lays down the figures of a run as if it were done."""
    (output / name).mkdir(parents=True)
    (output / name / "metrics.json").write_text(json.dumps({**figures, **changes}))


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory):
    """A suite whose last run alone was missing, and its figures."""
    output = tmp_path_factory.mktemp("suite")
    figures = json.loads((finished[0] / "metrics.json").read_text())
    for name in CONFIGS:
        for seed, accuracy in enumerate((0.5, 0.8)):
            if (name, seed) != ("digits_cow_mixmo", 1):
                finish(output, f"{name}_seed{seed}", figures, accuracy=accuracy)
    flags = "--suite=digits", "--seeds=0,1", f"--output_dir={output}", f"--train_flags={SMALL}"
    result = run("reproduce.py", *flags)
    assert result.returncode == 0, result.stderr
    return output, figures, result.stdout


def test_what_is_done_is_skipped_and_the_rest_trained(reported):
    output, _, printed = reported
    assert printed.count("done before") == 11
    assert "digits_cow_mixmo_seed1 …" in printed
    lines = (output / "digits_cow_mixmo_seed1/run.flags").read_text().splitlines()
    assert {"--mixing=cow", "--seed=1", "--filters=2"} <= set(lines)
    assert "Trained for" in (output / "digits_cow_mixmo_seed1.log").read_text()


def test_the_table_has_means_and_deviations(reported):
    output, figures, printed = reported
    table = (output / "digits.md").read_text(encoding="utf-8")
    assert table in printed
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()]
    by_method = {cells[0]: cells[1:] for cells in lines}
    spread = 100 * statistics.stdev([0.5, 0.8])
    assert by_method["Cut-MixMo"][:2] == ["2", f"65.00 ± {spread:.2f}"]
    members = 50 * (figures["member_0_accuracy"] + figures["member_1_accuracy"])
    assert by_method["Cut-MixMo"][2] == f"{members:.2f} ± 0.00"
    assert by_method["Cut-MixMo"][3] == f"{figures['loss']:.4f} ± 0.0000"
    trained = json.loads((output / "digits_cow_mixmo_seed1/metrics.json").read_text())
    mean = statistics.mean([50, 100 * trained["accuracy"]])
    assert by_method["Cow-MixMo"][1].startswith(f"{mean:.2f} ± ")
    assert (output / "digits.png").stat().st_size > 10_000


def test_a_run_that_fails_is_named(tmp_path):
    flags = "--suite=digits", "--seeds=0", f"--output_dir={tmp_path}", "--train_flags=--epochs=0"
    result = run("reproduce.py", *flags)
    assert result.returncode == 1
    expected = "reproduce.py: digits_plain_seed0: train.py: epochs must be >= 1, got 0"
    assert result.stderr.splitlines()[-1] == expected
    result = run("reproduce.py", "--seeds=one")
    assert result.stderr.strip() == "reproduce.py: seeds must be whole numbers, got one"


def test_a_signal_reaches_the_run(tmp_path):
    flags = f"--output_dir={tmp_path}", "--train_flags=--filters=2 --checkpoint_steps=1"
    process = subprocess.Popen(command("reproduce.py", *flags), cwd=ROOT)
    checkpoints = tmp_path / "digits_plain_seed0" / "checkpoints"
    until = time.monotonic() + 120
    while not list(checkpoints.glob("step_*.keras")) and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    log = (tmp_path / "digits_plain_seed0.log").read_text()
    assert "ended by SIGTERM; the same command goes on from there" in log


def test_deep_ensembles_wait_for_their_runs(reported, tmp_path):
    _, figures, _ = reported
    for method in "plain mixup cutmix mimo linear_mixmo cut_mixmo".split():
        finish(tmp_path, f"cifar10_wrn2810_{method}_seed0", figures)
    for method in "linear_mixmo_cutmix cut_mixmo_cutmix".split():
        finish(tmp_path, f"cifar10_wrn2810_{method}_seed0", figures)
    result = run("reproduce.py", "--suite=cifar10", "--seeds=0", f"--output_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    missing = ", ".join(str(tmp_path / f"cifar10_wrn2810_plain_seed{i}") for i in range(2))
    assert f"cifar10_wrn2810_deep_ensemble: left out, it needs {missing}" in result.stdout
    assert "| Deep Ensemble ×2 | 0 | – | – | – | – |" in result.stdout
