"""What one sees of a training: its line in a terminal, at any width, and how long it takes."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import threading
import types

import numpy as np
import pytest
from scripts_at_work import load
from shared_fixtures import first_epoch_of
from small_models import tiny_model
from stopped_runs import Killed, at, kill

from mixmo_tf.training import Progress, logs, progress
from mixmo_tf.training.pace import Pace
from mixmo_tf.training.progress_line import duration, of_epoch, of_training

IN_TRAINING = {"loss": 1.2341, "member_0_accuracy": 0.5, "member_1_accuracy": 0.662}
AT_THE_END = {
    **IN_TRAINING, "binary_share": 0.5, "val_loss": 0.3456, "val_accuracy": 0.972,
    "val_member_0_accuracy": 0.961, "val_member_1_accuracy": 0.958, "val_ratio_error": 3.0,
}  # fmt: skip


class Terminal(io.StringIO):
    """A stream that somebody watches, 80 columns wide as far as it says."""

    def isatty(self):
        return True


def drawn(text):
    """Each line as it was drawn, one after the other."""
    return [piece.strip() for piece in re.split(r"[\r\n]", text) if piece.strip()]


def left_standing(text):
    """What is seen in the end: what comes after a carriage return covers what was there."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        seen = ""
        for piece in line.split("\r"):
            seen = piece + seen[len(piece) :]
        lines.append(seen.rstrip())
    return lines


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (79, "Epoch 3/12   62 %  loss 1.234  acc 58.1 %  0:41 left, run 6:12 left"),
        (66, "Epoch 3/12   62 %  loss 1.234  0:41 left, run 6:12 left"),
        (54, "Epoch 3/12   62 %  0:41 left, run 6:12 left"),
        (39, "Epoch 3/12   62 %  0:41, run 6:12 left"),
        (37, "Epoch 3/12   62 %  6:12 left"),
        (20, "Epoch 3/12   62 %"),
        (9, "Epoch 3/1"),
    ],
)
def test_the_line_gives_way_piece_by_piece(width, expected):
    assert of_training(width, 2, 12, 0.629, IN_TRAINING, 41, 372) == expected


def test_the_line_says_what_is_known():
    assert of_training(79, 0, 3, 0.0, {}, None, None) == "Epoch 1/3    0 %"
    assert of_training(79, 2, 3, "validating", {"loss": 2e4}, 3.2, None) == (
        "Epoch 3/3  validating  loss 2.00e+04  0:03 left"
    )
    assert of_training(79, 0, 3, None, {"loss": 0.5}, None, None) == "Epoch 1/3  loss 0.500"


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (79, "Epoch 3/12  0:55  loss 1.234  val_loss 0.346  acc 97.2 %  members 96.1 95.8 %"),
        (76, "Epoch 3/12  loss 1.234  val_loss 0.346  acc 97.2 %  members 96.1 95.8 %"),
        (60, "Epoch 3/12  val_loss 0.346  acc 97.2 %  members 96.1 95.8 %"),
        (45, "Epoch 3/12  acc 97.2 %  members 96.1 95.8 %"),
        (39, "Epoch 3/12  acc 97.2 %"),
    ],
)
def test_an_epoch_ends_with_what_was_measured(width, expected):
    assert of_epoch(width, 2, 12, 55, AT_THE_END) == expected


def test_an_epoch_without_validation_and_a_plain_network():
    assert of_epoch(79, 0, 1, 5, IN_TRAINING) == "Epoch 1/1  0:05  loss 1.234  acc 58.1 %"
    plain = {"loss": 1, "val_loss": 0.5, "val_accuracy": 0.25, "val_member_0_accuracy": 0.25}
    said = "Epoch 1/1  0:05  loss 1.000  val_loss 0.500  acc 25.0 %"
    assert of_epoch(79, 0, 1, 5, plain) == said
    del plain["val_accuracy"]
    assert of_epoch(79, 0, 1, 5, plain).endswith("val_loss 0.500  members 25.0 %")


def test_durations():
    times = [0.4, 65, 3599.6, 7265, 48 * 3600, 100.5 * 3600]
    assert [duration(t) for t in times] == [
        "0:00",
        "1:05",
        "1:00:00",
        "2:01:05",
        "2 d 0 h",
        "4 d 4 h",
    ]


def test_what_is_left_counts_validation():
    """Steps of 2 s, ten in an epoch; validation counts as 5 of them until it has taken 7 s."""
    pace = Pace(epochs=3, steps_per_epoch=10, validation_steps=5)
    assert pace.left_of_epoch(0) is None and pace.left_of_run(0, 0) is None
    for _ in range(3):
        pace.add_steps(1, 2.0)
    assert pace.left_of_epoch(4) == 6 * 2 + 10
    assert pace.left_of_run(0, 4) == 22 + 2 * (20 + 10)
    assert pace.left_of_epoch(10, since=4) == 6 and pace.left_of_epoch(10, since=99) == 0
    pace.add_after(7)
    assert pace.left_of_run(1, 5) == 5 * 2 + 7 + 20 + 7
    for seconds in (3, 4, 50):  # the first one also opened files: 7 counts no more
        pace.add_after(seconds)
    assert pace.after == 4


def test_a_step_that_waits_hardly_moves_what_is_left():
    pace = Pace(epochs=1, steps_per_epoch=100)
    for seconds in (1, 1, 30, 1):
        pace.add_steps(2, 2 * seconds)
    assert pace.seconds_per_step == 1  # the median of few
    for _ in range(17):
        pace.add_steps(2, 2)
    assert pace.seconds_per_step == pytest.approx((20 * 2 + 60) / 42)  # the mean of many
    for _ in range(60):
        pace.add_steps(2, 6)
    assert pace.seconds_per_step == 3  # of about an epoch


def test_times_of_a_run_by_a_clock(monkeypatch):
    """The first step compiles for 30 s, the first validation for 20; others take 1 s and 2 s."""
    clock = types.SimpleNamespace(now=0.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(progress, "time", clock)
    out = Terminal()
    shown = Progress(stream=out, validation_steps=2)
    shown.set_params({"epochs": 3, "steps": 4})
    shown.on_train_begin()
    lines = {}
    for epoch in range(3):
        shown.on_epoch_begin(epoch)
        for step in range(4):
            clock.now += 30 if not epoch and not step else 1
            shown.on_train_batch_end(step, IN_TRAINING)
            lines[epoch, step] = drawn(out.getvalue())[-1]
        shown.on_test_begin()
        for batch in range(2):
            clock.now += 1 if epoch or batch else 21
            shown.on_test_batch_end(batch)
        lines[epoch, "end"] = drawn(out.getvalue())[-1]
        shown.on_epoch_end(epoch, AT_THE_END)
    shown.on_train_end()
    start = "loss 1.234  acc 58.1 %"
    assert lines[0, 0] == f"Epoch 1/3   25 %  {start}"
    assert lines[0, 1] == f"Epoch 1/3   50 %  {start}  0:04 left, run 0:16 left"  # 2 + 2 + 2 · 6
    assert lines[0, 3] == f"Epoch 1/3  100 %  {start}  0:02 left, run 0:14 left"
    assert lines[0, "end"] == f"Epoch 1/3  validating  {start}  0:00 left, run 0:12 left"
    assert lines[1, 0] == f"Epoch 2/3   25 %  {start}  0:05 left, run 0:11 left"
    assert lines[2, 2] == f"Epoch 3/3   75 %  {start}  0:03 left"
    ends = "loss 1.234  val_loss 0.346  acc 97.2 %  members 96.1 95.8 %"
    times = ["0:55", "0:06", "0:06"]
    kept = [f"Epoch {epoch + 1}/3  {took}  {ends}" for epoch, took in enumerate(times)]
    assert left_standing(out.getvalue()) == [*kept, ""]


def test_with_fit_and_evaluate(pixels_and_labels, monkeypatch):
    """Five steps, two at a time; in a stream that is no terminal a line an epoch is all."""
    monkeypatch.setattr(progress, "_BETWEEN", 0)
    images, labels = pixels_and_labels
    cheap = {"mixing": "linear", "alpha": 0.0, "augmentation": "none"}  # to be traced
    model = tiny_model(batch_repetitions=1, **cheap)
    model.steps_per_execution = 2
    model.evaluate(images, labels, batch_size=16, verbose=0)
    watched, file = Terminal(), io.StringIO()
    both = [Progress(stream=watched), Progress(stream=file)]
    fit = {"batch_size": 8, "epochs": 2, "verbose": 0, "callbacks": both}
    results = model.fit(images, labels, validation_data=(images, labels), **fit).history
    lines = drawn(watched.getvalue())
    shares = [re.sub(r"^Epoch (\d/2) +(\w+).*", r"\1 \2", line) for line in lines]
    steps = ["0", "40", "80", "100", *["validating"] * 4]
    begins = [f"1/2 {share}" for share in steps] + ["1/2 0"]  # the last is what the epoch took
    assert shares == begins + [share.replace("1/2", "2/2") for share in begins]
    assert f"  acc {100 * results['val_accuracy'][1]:.1f} %  members " in lines[-1]
    assert file.getvalue().splitlines() == [lines[8], lines[17]]
    both = [Progress(stream=watched), Progress(stream=file)]
    model.evaluate(images, labels, batch_size=8, verbose=0, callbacks=both)
    evaluated = drawn(watched.getvalue())[len(lines) :]
    shares = [line.split("%")[0] for line in evaluated]
    assert shares == ["Evaluating", "Evaluating   40 ", "Evaluating   80 ", "Evaluating  100 "]
    assert left_standing(watched.getvalue()) == [lines[8], lines[17], ""]
    assert len(file.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be >= 1, got 0"),
        ({"steps_per_epoch": 2.5}, "steps_per_epoch must be a whole number, got 2.5"),
        ({"validation_steps": -1}, "validation_steps must be >= 0, got -1"),
    ],
)
def test_bad_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Progress(**wrong)


@contextlib.contextmanager
def terminal(columns):
    """A pseudo-terminal as sys.stdout; gives a list that has, in the end, what it was sent."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    sent, said = [], []

    def read():
        with contextlib.suppress(OSError):  # as it ends, once nobody holds the other side
            while piece := os.read(master, 4096):
                sent.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with pytest.MonkeyPatch.context() as patch, open(slave, "w") as stdout:
            patch.setattr(sys, "stdout", stdout)
            yield said
    finally:
        reader.join()
        os.close(master)
        said.append(b"".join(sent).decode())


def test_the_command_in_a_terminal(finished, tmp_path, kept_models, monkeypatch):
    """Killed in the middle of its second epoch at 80 columns, gone on with at 40."""
    path = first_epoch_of(finished, tmp_path / "run")
    train = load("train").load()
    flags = ["train.py", *finished[1], f"--output_dir={path}", "--checkpoint_steps=3"]
    monkeypatch.setattr(progress, "_BETWEEN", 0)
    with terminal(80) as wide, pytest.raises(Killed), monkeypatch.context() as patch:
        patch.setattr(logs.TensorBoardLogs, "on_train_batch_end", at(10, kill))
        train(argv=flags)
    with terminal(40) as narrow, pytest.raises(SystemExit) as ended:
        train(argv=flags)
    assert ended.value.code is None
    (wide,), (narrow,) = wide, narrow

    lines = [line for line in drawn(wide) if line.startswith("Epoch ")]
    assert len(lines) == 10 and lines[0] == "Epoch 2/2    0 %"
    form = r"Epoch 2/2 +\d+ %  loss \d\.\d{3}  acc \d+\.\d %"
    assert re.fullmatch(form, lines[1]) and re.fullmatch(rf"{form}  \d+:\d\d left", lines[-1])
    assert left_standing(wide)[-2:] == [lines[-1], ""]  # the next output begins a new line

    lines = [line for line in drawn(narrow) if line.startswith("Epoch ")]
    assert lines[0] == "Epoch 2/2   36 %"  # 8 of 22 steps
    assert all(len(line) < 40 and line.startswith("Epoch 2/2 ") for line in lines)
    assert any(re.fullmatch(r"Epoch 2/2 +\d+ %  loss \d\.\d{3}  \d+:\d\d left", x) for x in lines)
    (kept,) = [line for line in left_standing(narrow) if line.startswith("Epoch ")]
    accuracy = np.loadtxt(path / "history.csv", delimiter=",", skiprows=1, dtype=str)[-1]
    names = (path / "history.csv").read_text().splitlines()[0].split(",")
    accuracy = float(accuracy[names.index("val_accuracy")])
    assert kept == f"Epoch 2/2  acc {100 * accuracy:.1f} %"
    assert not [line for line in left_standing(narrow) if "Evaluating" in line]
    assert "━" not in wide + narrow  # no bar of Keras'
