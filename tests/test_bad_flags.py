"""Every flag of every script, with values that it cannot have: a line that names it."""

import io
import sys
import typing

import pytest
from scripts_at_work import ROOT, ending_of, load, refusal

from mixmo_tf.experiments import command_line, fields

NEEDED = {  # flags that must be given; nothing is there
    "convert_checkpoint": ["--input=nowhere/x.keras", "--output=nowhere.pt"],
    "evaluate": ["--model=nowhere"],
    "export": ["--model=nowhere"],
    "predict": ["--model=nowhere", "nowhere.jpg"],
    "show_encoders": ["--model=nowhere"],
    "benchmark": ["masks"],
}
SCRIPTS = sorted(file.stem for file in (ROOT / "scripts").glob("[!_]*.py"))
OF_SCRIPTS = [  # wrong only for what the script does with them
    ("show_masks", "--alpha=-1", "alpha must be >= 0, got -1.0"),
    ("show_masks", "--alpha=nan", "alpha must be >= 0, got nan"),
    ("show_masks", "--weight_root=0", "weight_root must be > 0, got 0.0"),
    ("show_masks", "--mixing=", "mixing must be one of"),
    ("show_masks", "--image_size=16", "image_size is for"),
    ("show_masks", "--output_dir=~nobody-here", "there is no home folder ~nobody-here"),
    ("draw_idea", "--output=idea.txt", "output must end with .png, .pdf or .svg, got idea.txt"),
    ("benchmark", "--rows=6", "rows must be a multiple of b, got 6"),
    ("convert_checkpoint", "--mean=1,2,3", "--mean is for an --output that ends in .keras"),
    ("convert_checkpoint", "--std=1,2", "std must be three numbers, got 1,2"),
    ("export", "--nofold --members", "--members and --fuse_batch_norm say how to fold"),
    ("reproduce", "--seeds=-1", "seeds must be >= 0, got -1"),
    ("reproduce", "--seed=1", "seed differs from run to run: give --seeds"),
    ("reproduce", "--seeds=1,1", "seeds must be different whole numbers, got 1,1"),
]


@pytest.fixture
def classes(monkeypatch):
    """Keeps scripts from doing anything; the classes of settings that their flags are made of."""
    found, run = set(), command_line.run

    def only_parse(action, *classes, **options):
        found.update(classes)
        run(lambda *settings: None, *classes, **options)

    monkeypatch.setattr(command_line, "run", only_parse)
    return found


def wrong_values(field, kind):
    """Texts that the field's flag cannot have, and what the message says of each."""
    element = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
    if fields.choices(field):
        yield "no_such_choice", field.name
    if element in (int, float):
        yield from ((text, field.name) for text in ("ten", "1e", "0x"))
    if element is int:
        yield "1.5", field.name
    if kind is bool:
        yield from ((text, field.name) for text in ("maybe", "", "2"))
    low, high = field.metadata["bounds"] or (None, None)
    above = field.metadata["above"]
    if element is float:
        yield from ((text, f"{field.name} must be ") for text in ("nan", "inf", "-inf"))
    if above is not None:
        yield str(above), f"{field.name} must be > {above}, got "
    both = element is float and high is not None and f"in [{low}, {high}]"
    if low is not None:
        texts, expected = (str(low - 1), "-" + "9" * 9), both or f">= {low}"
        yield from ((text, f"{field.name} must be {expected}, got ") for text in texts)
    if high is not None:
        texts, expected = (str(high + 1), "9" * 30), both or f"<= {high}"
        yield from ((text, f"{field.name} must be {expected}, got ") for text in texts)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_flag_is_named(script, classes):
    needed = NEEDED.get(script, [])
    assert ending_of(script, *needed) == (None, "")
    (settings_class,) = classes
    count = 0
    for field, kind in fields.of(settings_class):
        for value, expected in wrong_values(field, kind):
            flag = f"--{field.name}={value}"
            code, said = ending_of(script, *needed, flag)
            message = said if code == 1 else code
            assert message and expected in message and "Traceback" not in message, flag
            assert message.startswith("FATAL Flags parsing error: ") or "\n" not in message, flag
            count += 1
    assert count >= (0 if script == "show_encoders" else 3)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_begins_with_what_the_script_is_for(script, monkeypatch):
    """An installed command's own module has no docstring, and a % in one is a %."""
    monkeypatch.setattr("sys.argv", [f"mixmo-{script}"])
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__doc__", None)
    code, said = ending_of(script, "--help")
    description = load(script).__doc__
    assert code == 1 and said.startswith(description) and "USAGE" not in said
    assert main.__doc__ is None
    if script == "reproduce":
        words = " ".join(said.split())
        assert "--output_dir: Folder of the runs' folders, and of the suite's table" in words
        assert "--seed: Not for this command: --seeds says each run's own." in words
        assert "runs/DATASET" not in words and "Seed of the initial weights" not in words


def test_a_description_is_shown_as_it_is(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["toy.py"])
    with pytest.raises(SystemExit):
        command_line.run(print, argv=["toy.py", "--help"], description="Over 97 % of %s.\n")
    assert capsys.readouterr().out.startswith("Over 97 % of %s.\n")


@pytest.mark.parametrize("script, flag_line, message", OF_SCRIPTS)
def test_what_a_script_cannot_take_is_named(script, flag_line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(script, *NEEDED.get(script, []), *flag_line.split())


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def test_what_no_machine_can_do_is_one_line(monkeypatch):
    """Memory that is not there; and --help to a reader that has gone."""

    def allocate():
        raise MemoryError("Unable to allocate 2 TiB")

    with pytest.raises(SystemExit, match="^toy.py: Unable to allocate 2 TiB$"):
        command_line.run(allocate, argv=["toy.py"])
    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(SystemExit, match=r"^toy.py: \[Errno 32\] Broken pipe$"):
        command_line.run(allocate, argv=["toy.py", "--help"])
