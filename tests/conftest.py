"""Which tests run, and in which order; shared_fixtures.py has what they use."""

import importlib.util
import os
import shutil

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BROWSERS = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
BROWSER = next(BROWSERS, None)
FAST = """
    abstention applications augmentation bad_input calibration class_weights classwise colour_tables
    comparison conformal corruptions crops diversity doors erasing examples folders gallery graph
    hub image_folder kept_predictions loading loss masks memory_split metric_checks mixing msda
    networks notebooks out_of_distribution own_blocks page pairing parts pixel_scale probability
    random_layers ratios reference report schedules scores seeds selective settings stream streaming
    strict_json tiny_imagenet torch_state trivial_augment unmixing
""".split()  # the files that `pytest -m fast` runs, in less than two minutes
FIRST = """
    encoded ending forking latency model_archive outputs overwriting reproduce serve suite_signals
    survival trainer weights_file workers
""".split()  # long ones, which would be waited for, and all that fork, so that one process imports


def pytest_addoption(parser):
    parser.addoption(
        "--kills", type=int, default=1, help="SIGKILLs that the run of test_survival.py gets."
    )


def pytest_configure(config):
    """Imports the libraries, but not where pytest-xdist hands tests out to other processes."""
    if config.getoption("dist", "no") == "no" or hasattr(config, "workerinput"):
        config.pluginmanager.import_plugin("shared_fixtures")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in FIRST)
    for item in items:
        if item.path.stem.removeprefix("test_") in FAST:
            item.add_marker("fast")
        if item.get_closest_marker("torch") and importlib.util.find_spec("torch") is None:
            item.add_marker(pytest.mark.skip(reason='needs PyTorch: pip install -e ".[torch]"'))
        if item.get_closest_marker("docs") and importlib.util.find_spec("myst_nb") is None:
            item.add_marker(pytest.mark.skip(reason='needs Sphinx: pip install -e ".[docs]"'))
        if item.get_closest_marker("browser") and BROWSER is None:
            item.add_marker(pytest.mark.skip(reason="needs Chromium: apt-get install chromium"))
