"""Settings: the same from Python, a flagfile and the command line; wrong ones are named."""

import dataclasses
import pathlib

import numpy as np
import pytest
from absl import app, flags

from mixmo_tf.experiments import Settings, command_line, flagfiles
from mixmo_tf.experiments.command_line import REQUIRED, OfFlags, setting

ROOT = pathlib.Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(OfFlags):
    model: tuple[str, ...] = setting(REQUIRED, "Models.", repeated=True)
    sizes: tuple[int, ...] = setting((1, 256), "Sizes.", repeated=True, bounds=(1, None))
    formats: tuple[str, ...] = setting(("a", "b"), "Formats.", choices=("a", "b", "c"))
    rate: float = setting(2, "Rate.", bounds=(0, 4))
    folds: bool = setting(True, "Folds.")
    output: str | None = setting(None, "Output.")


def parsed(*arguments, settings_class=Toy):
    values = command_line.flags_of(settings_class)
    values(["script.py", *arguments])
    return command_line.settings_of(settings_class, values), values


def test_flags_and_arguments_say_the_same():
    settings, values = parsed(
        "--model=a", "--model=b,c", "--sizes=3", "--formats=c,a", "--rate=1e-3", "--nofolds"
    )
    assert settings == Toy(
        model=["a", "b,c"], sizes=np.array([3]), formats=["c", "a"], rate=0.001, folds=False
    )
    names = {"model", "sizes", "formats", "rate", "folds"}
    assert command_line.given(Toy, values).keys() == names
    assert command_line.texts(settings)["formats"] == "c,a"
    defaults, values = parsed("--model=a")
    assert defaults == Toy(model=pathlib.Path("a")) and defaults.model == ("a",)
    assert defaults.sizes == (1, 256) and defaults.rate == 2.0 and defaults.output is None
    assert command_line.given(Toy, values) == {"model": ["a"]}
    with pytest.raises(flags.Error, match="--model must have a value"):
        parsed()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"sizes": 0}, "sizes must be a list, got 0"),
        ({"sizes": (4, 0)}, "sizes must be >= 1, got 0"),
        ({"sizes": "ten"}, "sizes must be numbers, got ten"),
        ({"formats": ["a", "d"]}, "formats must be one of a, b, c, got 'd'"),
        ({"rate": 5}, "rate must be <= 4, got 5"),
        ({"rate": float("nan")}, "rate must be >= 0, got nan"),
        ({"rate": True}, "rate must be a number, got True"),
        ({"rate": None}, "rate must be a number, got None"),
        ({"folds": "true"}, "folds must be one of False, True, got 'true'"),
        ({"output": 3}, "output must be a path, got 3"),
    ],
)
def test_wrong_values_are_named(wrong, message):
    with pytest.raises(ValueError) as error:
        Toy(**({"model": "a"} | wrong))
    assert str(error.value) == message


def test_a_flagfile_says_settings(tmp_path):
    file = tmp_path / "run.flags"
    file.write_text("# keras 3\n--alpha=3\n--milestones=4,5\n--dataset=image_folder:flowers\n")
    settings = Settings.from_flagfile(file, epochs=3)
    assert settings == Settings(
        alpha=3, milestones=(4, 5), epochs=3, dataset="image_folder:flowers"
    )
    assert f"--dataset=image_folder:{pathlib.Path.cwd() / 'flowers'}" in settings.lines()
    assert str(settings.path()) == "runs/flowers"
    file.write_text("\n".join(settings.lines()))
    assert Settings.from_flagfile(file).lines() == settings.lines()
    for content, message in (
        ("--alhpa=3\n", "Unknown command line flag 'alhpa'. Did you mean: alpha"),
        ("--alpha=much\n", "flag --alpha=much: could not convert string to float"),
        ("--alpha=1\nalpha\n", "alpha is no flag"),
    ):
        file.write_text(content)
        with pytest.raises(ValueError, match=message) as error:
            Settings.from_flagfile(file)
        assert str(error.value).startswith(f"{file}: ") and "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="there is no flagfile"):
        Settings.from_flagfile(tmp_path / "none.flags")


def test_a_flagfile_includes_those_beside_it(tmp_path, monkeypatch):
    """Later values win; what is not beside it, or includes it by its own name, is of the folder."""
    of_all, here = tmp_path / "configs/of_all", tmp_path / "here"
    of_all.mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    one, both = tmp_path / "configs/one.flags", of_all / "both.flags"
    both.write_text("--flagfile=base.flags\n--depth=16\n// none\n\n--msda=mixup\n")
    (of_all / "base.flags").write_text("--depth=10\n--width=3\n--alpha=4\n")
    one.write_text("--seed=1\n--flagfile=of_all/both.flags\n#--width=5\n--alpha=1\n")
    expected = Settings(seed=1, depth=16, msda="mixup", width=3, alpha=1)
    assert Settings.from_flagfile(one) == expected

    (here / "base.flags").write_text("--width=7\n")  # not asked for: another lies beside
    (here / "link.flags").symlink_to(one)
    assert Settings.from_flagfile("link.flags") == expected
    (here / "mine.flags").write_text("--flagfile=../configs/one.flags\n--seed=2\n")
    assert Settings.from_flagfile("mine.flags") == dataclasses.replace(expected, seed=2)

    (here / "mine").mkdir()
    of_mine = here / "mine/base.flags"
    of_mine.write_text("--flagfile=base.flags\n--depth=22\n")
    assert Settings.from_flagfile(of_mine) == Settings(width=7, depth=22)
    arguments = ["--flagfile", str(of_mine), "-flagfile=base.flags", "--flagfile=", "--seed=3"]
    assert flagfiles.in_place(arguments) == ["--width=7", "--depth=22", "--width=7", "--seed=3"]


def test_wrong_flagfiles_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    one, other = tmp_path / "below/one.flags", tmp_path / "below/other.flags"
    one.write_text("--flagfile=other.flags\n")
    looked = f"(looked in {tmp_path / 'below'}, {tmp_path})"
    message = f"there is no flagfile none.flags, which {other} includes {looked}"
    for content, error, expected in (
        (b"--alpha=2\n--flagfile=none.flags\n", FileNotFoundError, message),
        (b"--flagfile=one.flags\n", ValueError, f"flagfile {one} includes {other} includes {one}"),
        (b"--flagfile=.\n", IsADirectoryError, f"[Errno 21] Is a directory: '{one.parent}'"),
        (b"# \xff\n", ValueError, f"flagfile {other} is no text in UTF-8"),
        (b"--alpha=2\n--flagfile\n", ValueError, "--flagfile must name a file"),
    ):
        other.write_bytes(content)
        with pytest.raises(error) as raised:
            Settings.from_flagfile(one)
        assert str(raised.value) == expected
    with pytest.raises(FileNotFoundError, match=r"^there is no flagfile no \(looked in /.*\)$"):
        flagfiles.in_place(["--flagfile=no"])


def test_absl_knows_the_flags_for_a_while(capsys, monkeypatch):
    """`--help` shows them; afterwards another script may define the same names."""
    monkeypatch.setattr("sys.argv", ["toy.py"])
    for _ in range(2):
        values = command_line.flags_of(Toy)
        with command_line.known_to_absl(values), pytest.raises(SystemExit):
            app.run(lambda arguments: None, argv=["toy.py", "--help"])
    assert "model" not in flags.FLAGS
    shown = capsys.readouterr().out
    assert shown.count("toy.py:\n") == 2 and shown.count("--rate: Rate.") == 2
    assert command_line.table(Toy).splitlines()[2:5] == [
        "| `--model` | must be given | Models. |",
        "| `--sizes` | `1,256` | Sizes. |",
        "| `--formats` | `a,b` | Formats. One of a, b, c. |",
    ]


def test_commas_in_a_text_part_its_values():
    """As on the command line; where a flag is given once for each value, they are its own."""
    toy = Toy(model="a,b", formats="a,c")
    assert toy.model == ("a,b",) and toy.formats == ("a", "c")
    assert Settings(milestones="1,2").milestones == (1, 2)
    assert Settings(milestones="").milestones == ()
    with pytest.raises(ValueError, match="^model must have a value, got none$"):
        Toy(model=[])
