"""Flagfiles that include others: what a family of configs shares stands once.

As absl reads them, but that an included file is looked for beside the one that includes it first
and only then in the working directory: so a config works from everywhere. What is in neither is
looked for among the configs that come with this package, `digits.flags` or `configs/digits.flags`:
so they are found where the package is installed, too.
"""

import difflib
import pathlib
from collections.abc import Iterable

from mixmo_tf.paths import beside_package, expanded

_CONFIGS = "configs"


def in_place(arguments: Iterable[str], including: tuple[pathlib.Path, ...] = ()) -> list[str]:
    """The arguments with the lines of each flagfile in the place of its `--flagfile=FILE`.

    Args:
        arguments: a command line without the script's name.
        including: the flagfile that they are the lines of, last, after those that include it.

    Raises:
        OSError: if a flagfile is not there, or cannot be read.
        ValueError: if it is no text, or includes itself.
    """
    said, remaining = [], iter(arguments)
    for argument in remaining:
        flag, has_value, name = argument.partition("=")
        if flag not in ("--flagfile", "-flagfile"):
            said.append(argument)
            continue
        name = name.strip() if has_value else next(remaining, None)
        if name is None:
            raise ValueError("--flagfile must name a file")
        if name:  # absl passes over an empty one
            file = _found(expanded(name), including)
            said += in_place(_lines(file), (*including, file))
    return said


def _found(file, including):
    folders = [pathlib.Path()]
    if including:
        folders = [including[-1].parent, including[-1].resolve().parent, *folders]
    of_package = beside_package(_CONFIGS) / _without_folder(file)
    places = [*(folder / file for folder in folders), of_package]
    files = [each for each in places if each.exists()]
    for found in files:
        if not any(found.samefile(each) for each in including):
            return found
    if files:
        raise ValueError(f"flagfile {' includes '.join(map(str, (*including, files[0])))}")
    by = f", which {including[-1]} includes" if including else ""
    looked = ", ".join(dict.fromkeys(str(folder.absolute()) for folder in folders))
    raise FileNotFoundError(f"there is no flagfile {file}{by} (looked in {looked}){_meant(file)}")


def _without_folder(file):
    """digits.flags of configs/digits.flags, as the clone has them."""
    return file.relative_to(_CONFIGS) if file.parts[:1] == (_CONFIGS,) else file


def _meant(file):
    """A question, where configs of this package have names like that of a missing file."""
    configs = beside_package(_CONFIGS)
    names = [each.relative_to(configs).with_suffix("") for each in sorted(configs.rglob("*.flags"))]
    named = _without_folder(file).with_suffix("")
    near = difflib.get_close_matches(named.as_posix(), [each.as_posix() for each in names], 3)
    return f"; did you mean {' or '.join(f'{each}.flags' for each in near)}?" if near else ""


def _lines(file):
    """Its flags; comments are whole lines that start with # or //, as for absl."""
    try:
        with open(file, encoding="utf-8-sig") as lines:  # some editors begin with a mark
            return [
                line.strip()
                for line in lines
                if not line.isspace() and not line.startswith(("#", "//"))
            ]
    except UnicodeDecodeError:
        raise ValueError(f"flagfile {file} is no text in UTF-8") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"flagfile {file} is a folder") from None
