"""A Python that can import a few packages only, for the tests of what needs no others."""

import importlib.metadata
import re
import subprocess
import sys

_END = """
for name in {!r}:
    try:
        __import__(name)
    except ImportError:
        continue
    raise AssertionError(name + " is in reach")
"""
_START = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + [{!r}]\n"


def run(folder, packages, out_of_reach, program):
    """Runs a program in `folder` where only the standard library and `packages` can be imported.

    Args:
        folder: pathlib.Path, where it runs; links to the packages are made in it.
        packages: names of installed packages; what these depend on is out of reach too.
        out_of_reach: names of modules that the program must not find.
        program: str.

    Raises:
        subprocess.CalledProcessError: if it fails, or finds one of these modules.
    """
    reach = folder / "reach"
    reach.mkdir()
    for package in packages:
        distribution = importlib.metadata.distribution(package)
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (reach / top).exists():
                (reach / top).symlink_to(distribution.locate_file(top))
    program = _START.format(str(reach)) + program + _END.format(out_of_reach)
    subprocess.run([sys.executable, "-I", "-S", "-c", program], cwd=folder, check=True)


def with_dependencies(package, found=None):
    """The package and all that it depends on, a set of names of installed packages."""
    found = set() if found is None else found
    try:
        requirements = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return found  # not for this system
    found.add(package)
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement)[0]
        if "extra ==" not in requirement and name not in found:
            with_dependencies(name, found)
    return found
