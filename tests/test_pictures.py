"""The scripts that draw: pictures of the right size, and one line for bad input."""

import matplotlib.image
from scripts_at_work import call, exit_messages, full_disk, said_of
from small_models import tiny_model

from mixmo_tf import masks


def test_a_picture_per_block(tmp_path):
    ok = [f"--output_dir={tmp_path}", "--rows=2"]
    endings = exit_messages(
        "show_masks",
        ok,
        [*ok, "--num_members=3", "--mixing=cow"],
        [*ok, "--mixing=cutmax"],
        [*ok, "--num_members=11"],
        [*ok, "--dataset=mnist"],
        [*ok, "--mixing="],
    )
    assert endings[:2] == [None, None]
    assert "mixing must be one of linear, cutmix" in endings[2] and "\n" not in endings[2]
    assert endings[3] == "show_masks.py: num_members must be <= 10 classes, got 11"
    assert endings[4].startswith("show_masks.py: dataset must be one of")
    assert endings[5].startswith("show_masks.py: mixing must be one of")
    shapes = {name: matplotlib.image.imread(tmp_path / f"{name}.png").shape for name in masks.NAMES}
    assert shapes["cow"][1] > shapes["cutmix"][1]  # three members
    assert len(set(shapes.values())) == 2


def test_the_idea(tmp_path, monkeypatch):
    mine, closed = tmp_path / "mine.png", tmp_path / "mine.png" / "x.png"
    mine.write_text("mine")
    outputs = ["~/new/idea.png", mine, closed, tmp_path / "idea.gif", "~nobody-here/idea.png"]
    monkeypatch.setenv("HOME", str(tmp_path))
    calls = [[f"--output={output}"] for output in outputs]
    endings, printed = call("draw_idea", *calls, ["x.png"])
    assert endings[0] is None and f"Wrote {tmp_path / 'new' / 'idea.png'}." in printed
    assert matplotlib.image.imread(tmp_path / "new" / "idea.png").shape[1] == 12 * 150
    assert endings[1].startswith(f"draw_idea.py: {mine} exists and is no picture that a script")
    assert endings[2].startswith("draw_idea.py: ") and str(mine) in endings[2]
    assert endings[3].startswith("draw_idea.py: output must end with .png, .pdf or .svg, got ")
    assert endings[4].startswith("draw_idea.py: ") and "~nobody-here" in endings[4]
    assert endings[5] == "draw_idea.py: unknown argument x.png; flags start with --"
    assert all("\n" not in ending for ending in endings[1:])
    assert mine.read_text() == "mine"
    full = tmp_path / "full.png"
    with full_disk(1000):
        (ending,) = exit_messages("draw_idea", [f"--output={full}"])
    assert ending == f"draw_idea.py: cannot write {full}: File too large"


def test_the_encoders_filters(tmp_path):
    model = tiny_model()  # filter 0 becomes member 0's alone, the others are shared alike
    kernels = [model.network.get_layer(f"encoder_{i}").kernel for i in range(2)]
    kernels[1].assign(kernels[0] * ([0.0] + [1.0] * 7))
    model.save(tmp_path / "x.keras")
    said = said_of("show_encoders", f"--model={tmp_path / 'x.keras'}")
    assert "member 0 has more than 90% of 1 of the 8 filters" in said
    assert "member 1 has more than 90% of 0 of the 8 filters" in said
    assert matplotlib.image.imread(tmp_path / "encoders.png").shape[1] > 500
