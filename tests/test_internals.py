"""What the package takes from inside Keras and TensorFlow stands in a few files, each with a guard.

What our models override of Keras' is guarded by test_trainer.py, what folding reads of its graph by
test_parts.py. A guard says what a new version has changed.
"""

import ast
import pathlib

import keras
import pytest
import tensorflow as tf

import mixmo_tf

ROOT = pathlib.Path(mixmo_tf.__file__).parent
INSIDE = {  # by file: modules that are not public, and names that begin with _
    "deployment/model_file.py": {"tensorflow.lite.python"},
    "distribution/strategies.py": {"tensorflow.python.distribute.cluster_resolver"},
    "experiments/benchmarks/idle.py": {"tensorflow.tsl.profiler.protobuf"},
    "experiments/process.py": {"tensorflow.python.framework"},
    "formats/litert_graphs.py": {"tensorflow.lite.python", "tensorflow.lite.tools"},
    "formats/trusted_operations.py": {"tensorflow.core.protobuf"},
    "models/averaging.py": {"_model_variables_moving_average"},
    "models/core_update.py": {"_flatten_layers"},
    "models/predictor.py": {
        "_compile_metrics",
        "_get_metrics_result_or_logs",
        "_loss_tracker",
        "_maybe_symbolic_build",
    },
    "networks/backbone_checks.py": {"_flatten_layers"},
    "networks/batch_norm.py": {"_flatten_layers"},
    "networks/graph.py": {"_inbound_nodes", "_keras_history"},
    "networks/parts.py": {"_inbound_nodes", "_keras_history", "_outbound_nodes"},
    "networks/precision.py": {"_flatten_layers"},
    "random_state.py": {"keras.src.backend.common", "tensorflow.python.eager"},
}
NOT_PUBLIC = (
    "keras.src", "tensorflow.python", "tensorflow.core", "tensorflow.lite", "tensorflow.tsl",
)  # fmt: skip
OF_PYTHON = ("_asdict", "_exit", "_fields", "_replace")  # public, whatever they begin with
OF_KERAS = set(dir(keras.Model)) | {"_loss_tracker", "_compile_metrics"}  # a model's own too


def taken_from_inside(source):
    """The modules that are not public, and the private names that others define, in a source."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(NOT_PUBLIC):
            found.add(node.module)
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names if each.name.startswith(NOT_PUBLIC)}
        if isinstance(node, ast.Attribute):
            is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if is_private(node.attr) and (not is_own or node.attr in OF_KERAS):
                found.add(node.attr)
        if isinstance(node, ast.ClassDef):
            named = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            found |= {name for name in named & OF_KERAS if is_private(name)}
    return found


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in OF_PYTHON


def test_nobody_else_takes_anything_from_inside():
    files = {file.relative_to(ROOT).as_posix(): file for file in ROOT.rglob("*.py")}
    found = {name: taken_from_inside(file.read_text()) for name, file in files.items()}
    assert {name: names for name, names in found.items() if names} == INSIDE


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from tensorflow.python.eager import context", {"tensorflow.python.eager"}),
        ("import keras.src.ops", {"keras.src.ops"}),
        ("layer._inbound_nodes", {"_inbound_nodes"}),
        ("self._loss_tracker, self._function, self.call", {"_loss_tracker"}),
        ("class A:\n    def _maybe_symbolic_build(self): ...", {"_maybe_symbolic_build"}),
        ("info._replace(name=1), os._exit(0), kind.__name__", set()),
    ],
)
def test_what_is_taken_is_found(source, found):
    assert taken_from_inside(source) == found


def test_random_state_is_where_it_is_put_back():
    """Keras and TensorFlow keep it in what `random_state` reads, and nowhere else."""
    from keras.src.backend.common import global_state
    from tensorflow.python.eager import context

    from mixmo_tf import random_state

    changed = f"keras {keras.__version__}, TensorFlow {tf.__version__}: see mixmo_tf/random_state"
    with random_state.seeded(7):
        assert global_state.get_global_attribute("global_random_seed") == 7, changed
        assert context.context()._seed == 7, changed
        drawn = keras.random.uniform([]), tf.random.uniform([])
        assert global_state.get_global_attribute("global_seed_generator") is not None, changed
    with random_state.seeded(7):
        assert (keras.random.uniform([]), tf.random.uniform([])) == drawn, changed


def test_deterministic_kernels_are_asked_for():
    from tensorflow.python.framework import config

    assert config.is_op_determinism_enabled() in (False, True)


def test_slurm_abbreviations_are_read():
    from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

    assert slurm.expand_hostlist("n[8-10],m1") == ["n8", "n9", "n10", "m1"]
    assert slurm.expand_tasks_per_node("2(x2),1") == [2, 2, 1]


def test_a_saved_model_and_a_litert_file_have_what_is_checked():
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.lite.python import schema_py_generated

    graph = saved_model_pb2.SavedModel().meta_graphs.add()
    for name in ("asset_file_def", "graph_def", "object_graph_def"):
        assert hasattr(graph, name), name
    for name in ("GetRootAs", "OperatorCodes", "OperatorCodesLength"):
        assert hasattr(schema_py_generated.Model, name), name
    assert hasattr(schema_py_generated.OperatorCode, "CustomCode")
    for name in ("Metadata", "MetadataLength", "Buffers"):
        assert hasattr(schema_py_generated.Model, name), name
