"""scripts/reproduce.py on the network of tests/shallow_network.py."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import shallow_scripts

shallow_scripts.run("reproduce")
