"""Packages that only some users need."""

import importlib.util
import pathlib
from collections.abc import Sequence


def has(package: str) -> bool:
    """Whether a package is installed."""
    return importlib.util.find_spec(package) is not None


def check(extra: str, packages: Sequence[str]) -> None:
    """Raises ImportError, with the command that helps, unless the packages are installed."""
    missing = [name for name in packages if not has(name)]
    if missing:
        raise ImportError(f"{' and '.join(missing)} must be installed: {command(extra)}")


def command(extra: str) -> str:
    """The command that installs an extra: of the clone that this is, or of an installed package."""
    is_clone = (pathlib.Path(__file__).parents[1] / "setup.py").is_file()
    return f'pip install -e ".[{extra}]"' if is_clone else f'pip install "mixmo-tf[{extra}]"'
