"""The pages of docs/: their tables, links, messages and names are the code's; what they say runs.

Every command is parsed as its script would, here. Marked docs, which .ci/run runs on its own: the
site is built without a warning, and the blocks of each page run, in their order, in one folder.
"""

import ast
import functools
import importlib
import re
import shlex
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from picture_files import encoded
from scripts_at_work import ROOT, load

from mixmo_tf import masks
from mixmo_tf.experiments import SuiteSettings, absl_flags, flagfiles

sys.path.insert(0, str(ROOT / "docs"))

import notebooks
import readme_tables

OTHERS = {
    name: (ROOT / name).read_text("utf-8")
    for name in (
        "BUILD.md", "CONTRIBUTING.md", "CHANGELOG.md",
        *(f"examples/{name}.py" for name in notebooks.examples()),
    )
}  # fmt: skip
PAGES = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in readme_tables.pages()}
SITE = [name for name in PAGES if name != "README.md"]
SETTINGS = {**readme_tables.FLAGS, "reproduce": SuiteSettings}
FENCE = re.compile(r"^( *)```([a-z]+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
NAMES = (
    "mixmo_tf data networks ratios masks pairing msda augmentation seeds training evaluation "
    "evaluation.conformal evaluation.decision deployment experiments plots"
).split()
PAGE_OF = {"mixmo_tf": "models", "evaluation.conformal": "evaluation", "evaluation.decision":
           "evaluation"}  # fmt: skip
METHOD = "ratios masks pairing msda augmentation seeds".split()
# What is not run on the pages, since it is elsewhere, or takes what tests have not.
ELSEWHERE = {
    "convert_checkpoint": "tests/test_torch_checkpoint.py",
    "reproduce": "tests/test_reproduce.py",
    "benchmark": "tests/test_scripts.py, tests/test_latency.py, tests/test_device_benchmark.py",
    "mixmo.keras": "is what convert_checkpoint writes",
    "TF_CONFIG": "tests/test_workers.py",
    "srun": "tests/test_workers.py",
    "examples/serve.py": "tests/test_serve.py",
    "python -": "asks a server: tests/test_serve.py",
    ".venv/bin": "makes an environment: .ci/run",
}
SHORTER = {  # the flags that shorten a command, by what is in it
    "train.py": "--network=preact_resnet18 --filters=4 --batch_repetitions=1 --batch_size=32",
    "cifar": "--dataset=digits",
    "imagenet": "--dataset=digits",
    "--validation_examples": "--validation_examples=100",
    "--pretrained": "--pretrained=none --validation_examples=12",
    "--corruptions": "--corruption_names=brightness --severities=1 --data_dir=data",
    "--ood": "--ood=far:image_folder:photos",
    "export.py": "--check_images=20 --calibration_images=20",
    "train.py --flagfile": "--epochs=1",
    "--extend": "--epochs=2",
}
NO_DATASET = "evaluate", "export"  # which take that of their runs


def blocks(page, *languages):
    """(language, text) of a page's blocks, in their order."""
    found = FENCE.findall(PAGES[page])
    return [(each, text) for indent, each, text in found if each in languages or not languages]


def commands(text):
    """The command lines of a block; of a here-document, the first line."""
    text = re.sub(r"<<'(\w+)'\n.*?^\1$", "", text.replace("\\\n", " "), flags=re.DOTALL | re.M)
    return [line.strip() for line in text.splitlines() if line.strip()]


def script_of(command):
    """(script, its arguments), or None where a command is none of ours."""
    words = shlex.split(command)
    for i, word in enumerate(words):
        if match := re.fullmatch(r"scripts/(\w+)\.py", word):
            return match[1], words[i + 1 :]
    return None


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_are_those_of_the_code(page):
    stale = "stale: python docs/readme_tables.py"
    assert readme_tables.written(PAGES[page]) == PAGES[page], stale


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_links_lead_somewhere(page):
    text = re.sub(FENCE, "", {**PAGES, **OTHERS}[page])
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), link
        if heading:
            assert heading in anchors(str(file.resolve().relative_to(ROOT))), link
    for path in re.findall(r"`((?:mixmo_tf|configs|examples|scripts|tests|docs)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


@functools.cache
def anchors(page):
    text = re.sub(FENCE, "", {**PAGES, **OTHERS}[page])
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_ones_that_the_scripts_take(page):
    for command in [each for _, text in blocks(page, "bash") for each in commands(text)]:
        if not (found := script_of(command)):
            continue
        script, arguments = found
        values = absl_flags.flags_of(SETTINGS[script])
        _, *others = values([script, *flagfiles.in_place(arguments)])
        if script == "predict":
            values["files"].value = others
        else:
            assert len(others) == (script == "benchmark"), command
        absl_flags.settings_of(SETTINGS[script], values)


def test_every_page_is_in_a_table_of_contents():
    index = PAGES["docs/index.md"]
    for page in SITE:
        name = page.removeprefix("docs/").removesuffix(".md")
        assert name == "index" or f"\n{name}\n" in index, page


def test_every_config_is_listed():
    for config in (ROOT / "configs").glob("*.flags"):
        assert f"(../configs/{config.name})" in PAGES["docs/configs.md"], config.name


def test_the_papers_accuracies_are_those_of_the_configs():
    text = PAGES["docs/configs.md"] + PAGES["docs/blocks.md"]
    cells = re.findall(r"\[(\d\d\.\d\d)\]\(\.\./(configs/\w+\.flags)\)", text)
    assert len(cells) == 36
    for accuracy, config in cells:
        assert f"{accuracy} % top-1" in (ROOT / config).read_text(encoding="utf-8"), config


def test_messages_are_those_of_the_code():
    """Between the …, which stand for what differs."""
    said = "\0".join(map(_constants, (ROOT / "mixmo_tf").rglob("*.py")))
    messages = re.findall(r"^\| `([^`]+)` \|", PAGES["docs/troubleshooting.md"], re.MULTILINE)
    assert len(messages) > 55
    for message in messages:
        for part in message.split("…"):
            if len(part.strip(" ,;:()[]'")) > 3:
                assert part.strip() in said, message


def _constants(file):
    """The texts in a file, those of one message joined by what is filled in."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return "\0".join(text for text in texts if isinstance(text, str))


@pytest.mark.parametrize("module", NAMES)
def test_every_public_name_has_an_example(module):
    name = "mixmo_tf" if module == "mixmo_tf" else f"mixmo_tf.{module}"
    page = "method" if module in METHOD else PAGE_OF.get(module, module)
    examples = "".join(text for _, text in blocks(f"docs/api/{page}.md", "python", "py"))
    examples = re.sub(r"#.*", "", examples)
    for each in public_names(importlib.import_module(name)):
        assert re.search(rf"\b{each}\b", examples), f"{name}.{each}"


def public_names(module):
    """Those of `__all__` that are no modules; without one, what is defined there."""
    names = getattr(module, "__all__", None)
    if names:
        return [name for name in names if not isinstance(getattr(module, name), types.ModuleType)]
    defined = vars(module).items()
    is_own = [name for name, each in defined if getattr(each, "__module__", "") == module.__name__]
    return [name for name in is_own if not name.startswith("_") and callable(vars(module)[name])]


# Marked docs ---------------------------------------------------------------------------------


@pytest.mark.docs
def test_the_site_is_built_without_a_warning(tmp_path):
    build = [sys.executable, "-m", "sphinx", "-W", "-q", "-E", "-d", tmp_path / "trees"]
    made = subprocess.run(
        [*build, ROOT / "docs", tmp_path / "site"], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    for page in SITE:
        name = page.removeprefix("docs/").replace(".md", ".html")
        assert (tmp_path / "site" / name).is_file(), page
    for name in notebooks.examples():  # executed, with their pictures
        text = (tmp_path / "site/examples" / f"{name}.html").read_text("utf-8")
        assert "<img " in text and "cell_output" in text, name


@pytest.mark.docs
@pytest.mark.parametrize("page", [page for page in SITE if blocks(page, "bash", "python")])
def test_what_the_page_says_runs(page, tmp_path, finished, shallow, monkeypatch):
    """Commands shortened by flags, calls by what they are called with."""
    furnish(tmp_path, monkeypatch)
    text = "\n".join(text for _, text in blocks(page, "bash", "python"))
    if "torch" in text:
        pytest.importorskip("torch", reason='needs PyTorch: pip install -e ".[torch]"')
    for name in sorted(set(re.findall(r"\bruns/\w+", text))):
        if not is_made(name, text):
            shutil.copytree(finished[0], tmp_path / name)
    namespace = {}
    for language, text in blocks(page, "bash", "python"):
        if language == "python":
            exec(compile(shortened(text), page, "exec"), namespace)
            continue
        for command in [] if "TF_CONFIG" in text else commands(text):
            if not any(each in command for each in ELSEWHERE) and (found := script_of(command)):
                run(*found)


def furnish(folder, monkeypatch):
    """What the pages take for granted: the clone's folders, and some image files."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(masks, "BLOCKS", dict(masks.BLOCKS))
    monkeypatch.setattr(masks, "NAMES", masks.NAMES)
    for name in ("configs", "scripts", "examples"):
        (folder / name).symlink_to(ROOT / name)
    random = np.random.default_rng(0)
    for i in range(320):
        pixels = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        split = "val" if i % 4 == 0 else "train"
        names = [f"flowers/{split}/{('rose', 'tulip')[i % 2 ^ i // 4 % 2]}/{i}.png"]
        names += ["photo.jpg", "others/b.png"] if i == 0 else []
        if i < 60:
            kind = ("airplane", "automobile", "cat")[i % 3]
            names.append(f"photos/{'test' if i < 12 else 'train'}/{kind}/{i}.png")
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(encoded(pixels, "png"))


def is_made(name, text):
    """Whether a command of the page itself makes the run."""
    by_config = rf"^python scripts/train\.py --flagfile=configs/{name[5:]}\.flags$"
    makes = [rf"--output_dir={name}\b", rf'output_dir="{name}"', by_config]
    makes += [rf"train\.py --dataset=image_folder:{name[5:]} .*crop_flip$"]
    return any(re.search(each, text, re.MULTILINE) for each in makes)


def shortened(text):
    return text.replace("epochs=5", "epochs=1").replace("epochs=3", "epochs=1")


def run(script, arguments):
    """A script's command, in this process, with the flags that shorten it."""
    command = " ".join([f"{script}.py", *arguments])
    for part, flags in SHORTER.items():
        if part in command and not (script in NO_DATASET and "--dataset" in flags):
            arguments = [*arguments, *flags.split()]
    with pytest.raises(SystemExit) as ended:
        load(script).load()(argv=[f"{script}.py", *arguments])
    assert ended.value.code is None, (command, ended.value.code)
