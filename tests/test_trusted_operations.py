"""A SavedModel that does more than compute is refused before anything of it is executed."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from scripts_at_work import call
from small_models import tiny_model, tiny_network
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

import mixmo_tf
from mixmo_tf.deployment import fold
from mixmo_tf.formats import trusted_operations

IMAGES = tf.TensorSpec((None, 16, 16, 3), tf.uint8, name="images")


class Initialised(tf.Module):
    """A table, whose initialiser runs when it is loaded."""

    def __init__(self, file):
        super().__init__()
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(file), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            -1,
        )  # fmt: skip


class Resource(tf.saved_model.experimental.TrackableResource):
    """A resource whose initialiser writes a file."""

    def __init__(self, file):
        super().__init__()
        self._file = str(file)
        assert self.resource_handle is not None  # created when it is first asked for

    def _create_resource(self):
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    def _initialize(self):
        tf.io.write_file(self._file, "initialised")


def save(folder, outputs=lambda logits: logits, module=None):
    """A SavedModel with the signature and the files of an export, and what `outputs` adds."""

    def served(images):
        sums = tf.reduce_sum(tf.cast(images, tf.float32), (1, 2))
        logits = outputs(tf.stack([sums, 2 * sums], axis=1))  # (n, 2, 3)
        return {
            "member_logits": logits,
            "member_probabilities": tf.nn.softmax(logits),
            "probabilities": tf.reduce_mean(tf.nn.softmax(logits), 1),
        }

    function = tf.function(served, input_signature=[IMAGES])
    tf.saved_model.save(module or tf.Module(), str(folder), signatures=function)
    description = {"image_shape": [16, 16, 3], "ensemble": "logits"}
    (folder / "model.json").write_text(json.dumps(description))
    return folder


def edited(folder, edit):
    """Changes the graph in a saved_model.pb."""
    file = folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    edit(saved_model.meta_graphs[0])
    file.write_bytes(saved_model.SerializeToString())
    return folder


def test_no_operation_of_a_signature_touches_files(tmp_path):
    written, secret = tmp_path / "written", tmp_path / "secret"
    secret.write_text("mine")

    def writes(logits):
        with tf.control_dependencies([tf.io.write_file(str(written), "executed")]):
            return tf.identity(logits)

    def reads(logits):
        return logits + tf.cast(tf.strings.length(tf.io.read_file(str(secret))), tf.float32)

    def writes_in_a_branch(logits):
        return tf.cond(tf.size(logits) > 0, lambda: writes(logits), lambda: logits)

    def writes_in_a_loop(logits):
        return tf.while_loop(lambda x: tf.reduce_sum(x) < 0, lambda x: [writes(x)], [logits])[0]

    def in_a_map(logits):
        return tf.map_fn(writes, logits)

    def prints(logits):
        tf.print("executed", output_stream=f"file://{written}")
        return logits

    def python(logits):
        return tf.ensure_shape(tf.numpy_function(np.negative, [logits], tf.float32), (None, 2, 3))

    cases = {
        "WriteFile": writes, "ReadFile": reads, "StringFormat": prints, "PyFunc": python,
    }  # fmt: skip
    for name, outputs in cases.items():
        folder = save(tmp_path / name, outputs)
        with pytest.raises(ValueError, match=f"{folder} is refused: it has the operation {name},"):
            mixmo_tf.load(folder)
    for outputs in (writes_in_a_branch, writes_in_a_loop, in_a_map, tf.function(writes)):
        shutil.rmtree(tmp_path / "inner", ignore_errors=True)
        with pytest.raises(ValueError, match="it has the operation (WriteFile|While|TensorList)"):
            mixmo_tf.load(save(tmp_path / "inner", outputs))
    images = np.zeros((3, 16, 16, 3), np.uint8)
    assert not written.exists()
    trusted = mixmo_tf.load(tmp_path / "WriteFile", trust=True)
    assert trusted.predict(images, verbose=0).shape == (3, 3)
    assert written.read_text() == "executed"


def test_nothing_runs_while_it_is_loaded(tmp_path):
    written = tmp_path / "written"
    (tmp_path / "lines").write_text("a\nb\n")
    folder = save(tmp_path / "table", module=Initialised(tmp_path / "lines"))
    with pytest.raises(ValueError, match="is refused: it has the asset 'lines'"):
        mixmo_tf.load(folder)
    module = tf.Module()
    module.resource = Resource(written)
    folder = save(tmp_path / "resource", module=module)
    written.unlink(missing_ok=True)  # which creating it here wrote
    with pytest.raises(ValueError, match="a resource, whose initialiser runs when it is loaded"):
        mixmo_tf.load(folder)
    assert not written.exists()
    tf.saved_model.load(folder)
    assert written.read_text() == "initialised"  # so the file does what it should not


def test_only_saving_may_save(tmp_path):
    """What is there to save variables is refused where the signature calls it."""
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    folder = save(tmp_path / "x", module=module)
    assert mixmo_tf.load(folder).num_members == 2

    def call_saving(graph):
        functions = graph.graph_def.library.function
        (saving,) = (f for f in functions if any(n.op == "SaveV2" for n in f.node_def))
        wrapper = graph.object_graph_def.concrete_functions
        (served,) = (f for f in functions if f.signature.name in wrapper)
        node = served.node_def.add(name="save", op="PartitionedCall")
        node.attr["f"].func.name = saving.signature.name

    with pytest.raises(ValueError, match="it has the operation (SaveV2|MergeV2|Sharded|StaticReg)"):
        mixmo_tf.load(edited(folder, call_saving))


def test_sizes_are_checked_before_they_are_taken(tmp_path):
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([1000]))

    def case(name, edit):
        return edited(save(tmp_path / name, module=module), edit)

    def large_constant(graph):
        functions = graph.graph_def.library.function
        node = next(n for f in functions for n in f.node_def if n.op == "Const")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0.0, tf.float32, [10**5, 10**5]))

    def large_variable(graph):
        for node in graph.object_graph_def.nodes:
            if node.WhichOneof("kind") == "variable":
                node.variable.shape.dim[0].size = 10**10

    def calls_itself(graph):
        for function in graph.graph_def.library.function:
            node = function.node_def.add(name="again", op="PartitionedCall")
            node.attr["f"].func.name = function.signature.name

    def doubles(graph):
        library = graph.graph_def.library
        for i in range(40):
            function = library.function.add()
            function.signature.name = f"f_{i}"
            for j in range(2):
                node = function.node_def.add(name=f"n_{j}", op="PartitionedCall" if i else "NoOp")
                if i:
                    node.attr["f"].func.name = f"f_{i - 1}"

    def many_objects(graph):
        for _ in range(100_000):
            graph.object_graph_def.nodes.add().user_object.identifier = "_generic_user_object"

    cases = [
        (large_constant, "its constants take 40,000,0"),
        (large_variable, "its variables take 40,000,000,000 bytes, of which "),
        (calls_itself, "it has a function that calls itself"),
        (doubles, "it runs more than 500,000 operations"),
        (many_objects, "it has 100,00. objects"),
    ]
    for edit, message in cases:
        with pytest.raises(ValueError, match=f"is refused: {message}"):
            mixmo_tf.load(case(edit.__name__, edit))
    (tmp_path / "calls_itself/saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="is not a readable SavedModel: saved_model.pb cannot be"):
        mixmo_tf.load(tmp_path / "calls_itself")


def test_what_is_said_beside_it_must_fit(tmp_path):
    folder = save(tmp_path / "x")
    file = folder / "model.json"
    for content, message in (
        ('{"image_shape": [8, 16, 3], "ensemble": "logits"}', "model.json is of another model"),
        ('{"image_shape": [16, 16, 3], "ensemble": "votes"}', "ensemble must be one of"),
        ("[]", "its description is a list, not a dict"),
        ("[" * 10_000, "its description is nested too deeply"),
        (" " * 2**25, "model.json is larger than 16,777,216 bytes"),
    ):
        file.write_text(content)
        with pytest.raises(
            ValueError, match=f"x is not a readable SavedModel: .*{message}"
        ) as raised:
            mixmo_tf.load(folder)
        assert "\n" not in str(raised.value)


def test_a_run_with_a_saved_model_in_it_is_a_run(tmp_path):
    model = tiny_model()
    model.export(tmp_path / "run")
    model.save(tmp_path / "run/model.keras")
    assert isinstance(mixmo_tf.load(tmp_path / "run"), mixmo_tf.MixMo)


def test_every_export_is_trusted(tmp_path, quick_weights):
    networks = mixmo_tf.networks
    models = []
    for precision in networks.precision.PRECISIONS:
        network = tiny_network()
        networks.set_precision(network, precision)
        models += [mixmo_tf.MixMo(network), mixmo_tf.MixMo(network, ensemble="probabilities")]
    plain = mixmo_tf.MixMo(tiny_network(1), mixing=None)
    models += [plain, mixmo_tf.DeepEnsemble([models[0], plain], ensemble="probabilities")]
    wide = mixmo_tf.MixMo(networks.wide_resnet(10, 1, 2, 5, (8, 8, 3)), ensemble="probabilities")
    models.append(mixmo_tf.MixMo(networks.preact_resnet18(1, 2, 5, (16, 16, 3), filters=4)))
    models.append(mixmo_tf.MixMo(networks.resnet18(2, 5, (32, 32, 3))))
    models += [wide, fold(models[0]), fold(wide, members=True, fuse_batch_norm=True)]
    for i, model in enumerate(models):
        model.export(tmp_path / str(i))
        trusted_operations.check(tmp_path / str(i))


def test_a_network_of_ones_own_is_trusted(tmp_path):
    """Other layers of Keras, and weights drawn by a generator of seeds, in both formats."""
    seeds = keras.random.SeedGenerator(0)

    def encoder(member, image):
        drawn = keras.initializers.HeNormal(seeds)
        name = f"encoder_{member}"
        return keras.layers.Conv2D(8, 3, kernel_initializer=drawn, name=name)(image)

    def core(x):
        x = keras.layers.PReLU()(keras.layers.GroupNormalization(4)(x))
        x = keras.layers.DepthwiseConv2D(3, depthwise_initializer="orthogonal")(x)
        for activation in ("silu", "gelu", "hard_swish", "elu", "softplus"):
            x = keras.layers.Activation(activation)(x)
        x = keras.layers.AveragePooling2D(2)(keras.layers.Dropout(0.1)(x))
        x = keras.layers.Conv2DTranspose(4, 2, strides=2)(x)
        return keras.layers.GlobalAveragePooling2D()(keras.layers.LayerNormalization()(x))

    build = mixmo_tf.networks.build
    model = mixmo_tf.MixMo(build("own", encoder, core, 2, 3, (16, 16, 3), "he_normal"))
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "exported")
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    expected = model.predict(images, verbose=0)
    for path in (tmp_path / "model.keras", tmp_path / "exported"):
        answers = mixmo_tf.load(path).predict(images, verbose=0)
        np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_no_operation_on_the_list_has_an_effect():
    names = trusted_operations.OPERATIONS | trusted_operations.OF_BYTES
    definitions = {name: op_def_registry.get(name) for name in names}
    assert None not in definitions.values()
    stateful = {name for name, definition in definitions.items() if definition.is_stateful}
    calls_and_reads = {"If", "StatefulPartitionedCall", "ReadVariableOp", "VarHandleOp"}
    assert stateful == calls_and_reads | {"Assert", "CheckNumerics"}


def test_operations_of_older_exports_and_assertions_are_trusted(tmp_path):
    """Tile, ConcatV2 and ExpandDims stood in exports of the first versions."""

    def outputs(logits):
        tf.debugging.assert_positive(tf.shape(logits)[0], message="no image")
        tf.debugging.assert_equal(tf.rank(logits), 3)
        logits = tf.concat([logits, tf.tile(logits, [1, 1, 1])], 1)[:, :2]
        return tf.cond(tf.size(logits) > 3, lambda: logits, lambda: -logits)

    folder = save(tmp_path / "x", outputs)
    images = np.ones((3, 16, 16, 3), np.uint8)
    assert mixmo_tf.load(folder).member_logits(images)[0, 1, 0] == 512


def test_evaluate_takes_trust(tmp_path):
    def writes(logits):
        with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "executed")]):
            return tf.identity(logits)

    folder = save(tmp_path / "x", writes)
    flags = [f"--model={folder}", "--dataset=digits"]
    (refused, other), _ = call("evaluate", flags, [*flags, "--trust"])
    assert refused.startswith(f"evaluate.py: {folder} is refused: it has the operation WriteFile")
    assert "\n" not in refused and "digits" in other  # which has other images and classes
