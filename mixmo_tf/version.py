"""The version of this package, which runs and exported files note."""

import functools
import pathlib
import subprocess

VERSION = "0.2.0"


@functools.cache
def commit() -> str | None:
    """The commit of the git checkout that this package runs from; None where it is installed.

    It ends in "-dirty" where files differ from it.
    """
    root = pathlib.Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(
            [*describe, "--exclude=*"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout of someone else
        return None
    return found.stdout.strip() or None
