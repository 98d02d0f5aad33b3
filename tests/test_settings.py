"""Settings: the same from Python, a flagfile and the command line; wrong ones are named."""

import dataclasses
import pathlib

import numpy as np
import pytest
from absl import app, flags

from mixmo_tf.experiments import (
    EvaluationSettings,
    Settings,
    SuiteSettings,
    absl_flags,
    fields,
    flagfiles,
)
from mixmo_tf.experiments.fields import REQUIRED, setting
from mixmo_tf.experiments.of_flags import OfFlags

ROOT = pathlib.Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(OfFlags):
    model: tuple[str, ...] = setting(REQUIRED, "Models.", repeated=True)
    sizes: tuple[int, ...] = setting((1, 256), "Sizes.", repeated=True, bounds=(1, 2**31 - 1))
    formats: tuple[str, ...] = setting(("a", "b"), "Formats.", choices=("a", "b", "c"))
    rate: float = setting(2, "Rate.", bounds=(0, 4))
    root: float = setting(3.0, "Root.", above=0)
    shift: float = setting(0.0, "Shift.")
    xla: str = setting("auto", "XLA.", choices=("auto", "true", "false", "none"))
    folds: bool = setting(True, "Folds.")
    output: str | None = setting(None, "Output.")


def parsed(*arguments, settings_class=Toy):
    values = absl_flags.flags_of(settings_class)
    values(["script.py", *arguments])
    return absl_flags.settings_of(settings_class, values), values


def test_flags_and_arguments_say_the_same():
    settings, values = parsed(
        "--model=a", "--model=b,c", "--sizes=3", "--formats=c,a", "--rate=1e-3", "--nofolds"
    )
    assert settings == Toy(
        model=["a", "b,c"], sizes=np.array([3]), formats=["c", "a"], rate=0.001, folds=False
    )
    names = {"model", "sizes", "formats", "rate", "folds"}
    assert absl_flags.given(Toy, values).keys() == names
    assert fields.texts(settings)["formats"] == "c,a"
    defaults, values = parsed("--model=a")
    assert defaults == Toy(model=pathlib.Path("a")) and defaults.model == ("a",)
    assert defaults.sizes == (1, 256) and defaults.rate == 2.0 and defaults.output is None
    assert absl_flags.given(Toy, values) == {"model": ["a"]}
    with pytest.raises(flags.Error, match="--model must have a value"):
        parsed()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"sizes": 0}, "sizes must be a list, got 0"),
        ({"sizes": (4, 0)}, "sizes must be >= 1, got 0"),
        ({"sizes": "ten"}, "sizes must be numbers, got ten"),
        ({"formats": ["a", "d"]}, "formats must be one of a, b, c, got 'd'"),
        ({"sizes": 2**31}, "sizes must be a list, got 2147483648"),
        ({"sizes": (2**31,)}, "sizes must be <= 2147483647, got 2147483648"),
        ({"rate": 5}, "rate must be in [0, 4], got 5"),
        ({"rate": float("nan")}, "rate must be in [0, 4], got nan"),
        ({"root": 0}, "root must be > 0, got 0"),
        ({"root": float("inf")}, "root must be > 0, got inf"),
        ({"shift": float("-inf")}, "shift must be finite, got -inf"),
        (
            {"shift": 10**400},
            "shift must be finite, got 1000000000000000000000000000000000000000000",
        ),
        ({"rate": np.True_}, "rate must be a number, got bool ()"),
        ({"xla": 1}, "xla must be one of auto, true, false, none, got 1"),
        ({"folds": 1}, "folds must be one of False, True, got 1"),
        ({"rate": True}, "rate must be a number, got True"),
        ({"rate": None}, "rate must be a number, got None"),
        ({"folds": "true"}, "folds must be one of False, True, got 'true'"),
        ({"output": 3}, "output must be a path, got 3"),
    ],
)
def test_wrong_values_are_named(wrong, message):
    with pytest.raises(ValueError) as error:
        Toy(**({"model": "a"} | wrong))
    assert str(error.value)[: len(message)] == message
    assert len(str(error.value)) < len(message) + 30 and "\n" not in str(error.value)


def test_values_of_numpy_and_of_the_arguments_words():
    """What MixMo and compile call None and True, flags call none and true."""
    toy = Toy(
        model="a", folds=np.False_, sizes=np.array([3, 4]), rate=np.float32(0.5), xla=np.True_
    )
    assert toy == Toy(model="a", folds=False, sizes=(3, 4), rate=0.5, xla="true")
    kinds = [type(value) for value in (toy.folds, toy.sizes[0], toy.rate, toy.xla)]
    assert kinds == [bool, int, float, str]
    assert Toy(model="a", xla=False).xla == "false" and Toy(model="a", xla=None).xla == "none"
    run = Settings(msda=None, augmentation=None, jit_compile=True, seed=np.int64(7))
    assert run == Settings(msda="none", augmentation="none", jit_compile="true", seed=7)
    assert {"--msda=none", "--jit_compile=true", "--seed=7"} <= set(run.lines())
    assert Settings(mixing=None).mixing is None  # cutmix, as --mixing that is not set
    assert SuiteSettings(msda=None).of_runs() == {}  # nor is it here


def test_what_is_shown_is_what_differs_from_the_defaults():
    assert repr(Settings()) == "Settings()"
    settings = Settings(alpha=2, epochs=3, milestones=[2], dataset="image_folder:a'b")
    shown = """Settings(dataset="image_folder:a'b", epochs=3, milestones=(2,))"""
    assert repr(settings) == shown and eval(shown) == settings
    assert repr(Toy(model="a", rate=3)) == "Toy(model=('a',), rate=3.0)"
    assert repr(EvaluationSettings(model="runs/a")) == "EvaluationSettings(model=('runs/a',))"
    assert repr(SuiteSettings(epochs=20)) == "SuiteSettings(epochs=20)"


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


def test_a_value_that_is_wrong_in_a_flagfile_names_the_file(tmp_path):
    """One that overrides it is right or wrong by itself."""
    file = tmp_path / "run.flags"
    file.write_text("--alpha=-1\n--num_members=1\n")
    for overrides in ({}, {"epochs": 3}):
        with pytest.raises(ValueError, match=f"^{file}: alpha must be >= 0, got -1.0$"):
            Settings.from_flagfile(file, **overrides)
    assert Settings.from_flagfile(file, alpha=3).alpha == 3
    with pytest.raises(ValueError, match="^alpha must be >= 0, got -2$"):
        Settings.from_flagfile(file, alpha=-2)
    file.write_text("--mixing=none\n")
    with pytest.raises(ValueError, match=f"^{file}: mixing=none is for num_members=1, got 2"):
        Settings.from_flagfile(file)
    assert Settings.from_flagfile(file, num_members=1).mixing == "none"


def test_a_flagfile_that_lacks_what_must_be_given(tmp_path):
    file = tmp_path / "evaluate.flags"
    file.write_text("--batch_size=7\n")
    with pytest.raises(
        ValueError, match=f"^{file}: one of --model and --predictions must be given, got neither$"
    ):
        EvaluationSettings.from_flagfile(file)
    assert EvaluationSettings.from_flagfile(file, model="x").batch_size == 7


def test_a_flagfile_of_an_editor_that_marks_its_files(tmp_path):
    file = tmp_path / "run.flags"
    file.write_bytes(b"\xef\xbb\xbf--alpha=3\r\n--seed=2\r\n")
    assert Settings.from_flagfile(file) == Settings(alpha=3, seed=2)


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
        (b"--flagfile=.\n", IsADirectoryError, f"flagfile {one.parent} is a folder"),
        (b"# \xff\n", ValueError, f"flagfile {other} is no text in UTF-8"),
        (b"--alpha=2\n--flagfile\n", ValueError, "--flagfile must name a file"),
    ):
        other.write_bytes(content)
        with pytest.raises(error) as raised:
            Settings.from_flagfile(one)
        assert str(raised.value) == expected
    for path, error, expected in (
        (tmp_path, IsADirectoryError, f"flagfile {tmp_path} is a folder"),
        ("", ValueError, "path must name a flagfile, got ''"),
        (3, ValueError, "path must be a path, got 3"),
    ):
        with pytest.raises(error) as raised:
            Settings.from_flagfile(path)
        assert str(raised.value) == expected
    with pytest.raises(FileNotFoundError, match=r"^there is no flagfile no \(looked in /.*\)$"):
        flagfiles.in_place(["--flagfile=no"])


def test_the_configs_that_come_with_the_package_are_found_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = Settings.from_flagfile(ROOT / "configs" / "digits_mimo.flags")  # with a family
    for name in ("digits_mimo.flags", "configs/digits_mimo.flags"):
        assert Settings.from_flagfile(name) == expected
    (tmp_path / "digits_mimo.flags").write_text("--flagfile=digits_mimo.flags\n--seed=3\n")
    assert Settings.from_flagfile("digits_mimo.flags") == dataclasses.replace(expected, seed=3)
    for name in ("configs/digit_mimo.flags", "digits-mimo"):
        with pytest.raises(FileNotFoundError, match=r"\(looked in .*\); did you mean digits_mimo"):
            flagfiles.in_place([f"--flagfile={name}"])


def test_absl_knows_the_flags_for_a_while(capsys, monkeypatch):
    """`--help` shows them; afterwards another script may define the same names."""
    monkeypatch.setattr("sys.argv", ["toy.py"])
    for _ in range(2):
        values = absl_flags.flags_of(Toy)
        with absl_flags.known_to_absl(values), pytest.raises(SystemExit):
            app.run(lambda arguments: None, argv=["toy.py", "--help"])
    assert "model" not in flags.FLAGS
    shown = capsys.readouterr().out
    assert shown.count("toy.py:\n") == 2 and shown.count("--rate: Rate.") == 2
    assert absl_flags.table(Toy).splitlines()[2:5] == [
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
