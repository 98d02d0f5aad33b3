"""Commands in processes of their own, on the network of shallow_network.py, for the tests."""

import importlib.util
import pathlib

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"


def run(name):
    """Is what scripts/NAME.py is, with the stand-in in place once all is imported."""
    spec = importlib.util.spec_from_file_location(f"scripts.{name}", SCRIPTS / f"{name}.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    load = script.load

    def load_with_stand_in():
        command = load()
        import pytest
        import shallow_network

        shallow_network.stand_in(pytest.MonkeyPatch())
        return command

    script.load = load_with_stand_in
    script.main()
