"""Files that would grow are refused one by one in a process of its own, which is watched."""

import os
import sys

import forking
from scripts_at_work import ROOT

MOST_SECONDS = 30  # of the processor; without the checks they hang, or take minutes
MOST_MEGABYTES = 400  # beside what the libraries take
# Each thread has memory of its own.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
LOAD = r"""
import pathlib, re, sys, time
{imports}


def memory():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1000


before = memory()
for file in sys.argv[1:]:
    start = time.process_time()
    try:
        {load}(file)
    except ValueError as error:
        print(f"{{time.process_time() - start:.1f}}", error)
print(memory() - before)
"""


def messages(imports, load, files):
    """What a loader says of each file, in little time and memory; a list of str.

    Args:
        imports: a line of Python that brings the loader.
        load: the loader, as Python writes it.
        files: paths; the loader must raise ValueError for each.
    """
    child = forking.run(
        [sys.executable, "-c", LOAD.format(imports=imports, load=load), *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)},
    )
    *lines, used = child.stdout.splitlines()
    assert len(lines) == len(files), child.stdout + child.stderr
    said = []
    for line in lines:
        seconds, message = line.split(" ", 1)
        assert float(seconds) < MOST_SECONDS, line
        said.append(message)
    assert int(used) < MOST_MEGABYTES
    return said
