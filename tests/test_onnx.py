import bare_python
import numpy as np
import pytest
from scripts_at_work import full_disk
from small_models import as_if_trained, tiny_model

import mixmo_tf
from mixmo_tf.deployment import fold
from mixmo_tf.networks import set_precision

CLIENT = """
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
images = np.load("images.npy")
names = [output.name for output in session.get_outputs()]
assert session.get_inputs()[0].shape == ["n", *images.shape[1:]]
assert all(output.shape[0] == "n" for output in session.get_outputs())
for n in (1, 7, 40):
    answers = session.run(names, {"images": images[:n]})
    np.savez(f"answers_{n}.npz", **dict(zip(names, answers)))
"""


@pytest.mark.parametrize("ensemble", ["logits", "probabilities"])
def test_it_answers_where_only_onnxruntime_and_numpy_are(tmp_path, pixels_and_labels, ensemble):
    images, _ = pixels_and_labels
    model = tiny_model(ensemble=ensemble, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    as_if_trained(model)
    exported = fold(model) if ensemble == "logits" else model
    exported.export(tmp_path / "model.onnx", format="onnx")
    np.save(tmp_path / "images.npy", images)
    bare_python.run(tmp_path, ["onnxruntime", "numpy"], ["tensorflow", "mixmo_tf"], CLIENT)
    expected = model.predict(images, verbose=0)
    for n in (1, 7, 40):
        answers = np.load(tmp_path / f"answers_{n}.npz")
        np.testing.assert_allclose(answers["probabilities"], expected[:n], atol=1e-5)
        assert answers["member_logits"].shape == (n, exported.num_members, 4)
    loaded = mixmo_tf.load(tmp_path / "model.onnx")
    np.testing.assert_allclose(loaded.predict(images, batch_size=16), expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_a_file_reads_no_other_file_and_no_unknown_operation_runs(tmp_path):
    from onnx import TensorProto, helper

    (tmp_path / "secret").write_bytes(b"0000" * 4)
    (tmp_path / "models").mkdir()
    secret = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[4])
    secret.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret"), ("offset", "0"), ("length", "16")):
        secret.external_data.add(key=key, value=value)
    claims = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[10**6, 10**6])
    claims.raw_data = b"0000"
    identity = helper.make_node("Identity", ["secret"], ["probabilities"])
    unknown = helper.make_node("Unknown", ["images"], ["probabilities"], domain="unknown")
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 16, 16, 3])
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None)
    for i, (node, initializers) in enumerate(
        ((identity, [secret]), (identity, [claims]), (unknown, []))
    ):
        graph = helper.make_graph([node], "graph", [images], [output], initializers)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("unknown", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        file = tmp_path / "models" / f"{i}.onnx"
        file.write_bytes(model.SerializeToString())
        with pytest.raises(ValueError, match=f"{i}.onnx is not a readable ONNX file: "):
            mixmo_tf.load(file)


def test_bad_input_is_named(tmp_path, monkeypatch):
    model = tiny_model()
    file = tmp_path / "model.onnx"
    with pytest.raises(FileNotFoundError, match=f"there is no folder {tmp_path}/no for x.onnx"):
        model.export(tmp_path / "no" / "x.onnx", format="onnx")
    with pytest.raises(FileNotFoundError, match="there is no ONNX file at"):
        mixmo_tf.load(file)
    file.write_bytes(b"no model")
    with pytest.raises(FileExistsError, match="model.onnx exists; choose another file"):
        model.export(file, format="onnx")
    with pytest.raises(ValueError, match="model.onnx is not a readable ONNX file: "):
        mixmo_tf.load(file)
    with full_disk(1_000), pytest.raises(OSError, match=f"cannot write {tmp_path}/x.onnx: "):
        model.export(tmp_path / "x.onnx", format="onnx")
    set_precision(model.network, "mixed_bfloat16")
    with pytest.raises(ValueError, match="an ONNX file is for networks that compute in float32"):
        model.export(tmp_path / "x.onnx", format="onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'onnxruntime must be .*: pip install -e "\.\[onnx\]"'):
        model.export(tmp_path / "x.onnx", format="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_what_a_file_does_not_take_is_named_before_it_is_asked(tmp_path):
    from onnx import TensorProto, helper

    def write(image, probabilities, dtype=TensorProto.UINT8):
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["probabilities"], axes=[1, 2], keepdims=0),
        ]
        images = helper.make_tensor_value_info("images", dtype, image)
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, probabilities)
        graph = helper.make_graph(nodes, "graph", [images], [output])
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
        return mixmo_tf.load(tmp_path / "x.onnx")

    assert write(["n", 8, 8, 3], ["n", 3]).num_classes == 3
    for sizes in ([["n", 8, 8, "c"], ["n", "c"]], [["n", "h", "w", 3], ["n", 3]]):
        with pytest.raises(
            ValueError, match="x.onnx is not a readable ONNX file: it takes images .*"
        ):
            write(*sizes)
    for image, dtype in (([1, 8, 8, 3], TensorProto.UINT8), (["n", 8, 8, 3], TensorProto.FLOAT)):
        with pytest.raises(
            ValueError, match="x.onnx is not a readable ONNX file: it takes tensor.*"
        ):
            write(image, ["n", 3], dtype)
