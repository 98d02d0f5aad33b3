"""Checkpoints as people have them are read; those that would grow are refused."""

import io
import json
import pickle
import struct
import sys
import zipfile

import hostile_files
import numpy as np
import pytest
from scripts_at_work import call
from test_torch_checkpoint import checkpoint, state_of

from mixmo_tf.deployment import load_torch_checkpoint, pickled_size, save_torch_checkpoint
from mixmo_tf.deployment.weights_file import read

torch = pytest.importorskip("torch", reason='needs PyTorch: pip install -e ".[torch]"')
safetensors = pytest.importorskip("safetensors.torch")
pytestmark = pytest.mark.torch


class Grows:
    """A pickle that makes an array of bytes as long as it says."""

    def __reduce__(self):
        return bytearray, (10**10,)


@pytest.fixture
def state():
    return state_of("wide_resnet_10_1_m2")


def assert_same(arrays, state):
    assert set(arrays) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy().astype(np.float32))


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_and_bare_states(tmp_path, state, prefix):
    named = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    assert_same(read(checkpoint(tmp_path / "a.pt", named)), state)
    torch.save(named, tmp_path / "bare.pt")
    assert_same(read(tmp_path / "bare.pt"), state)
    more = {"epoch": 3, "step": torch.tensor(7), "optimizer": {"state": {0: torch.ones(2)}}}
    torch.save({**named, **more}, tmp_path / "more.pt")
    assert_same(read(tmp_path / "more.pt"), state)
    safetensors.save_file(named, tmp_path / "a.safetensors", metadata={"format": "pt"})
    assert_same(read(tmp_path / "a.safetensors"), state)


def test_a_name_with_and_without_prefix_is_refused(tmp_path, state):
    twice = {**state, "module.bn1.weight": torch.ones(64)}
    with pytest.raises(ValueError, match="has bn1.weight twice, once as module.bn1.weight"):
        read(checkpoint(tmp_path / "x.pt", twice))


def test_safetensors_need_no_pytorch(tmp_path, state, monkeypatch):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        cast = {n: t.to(dtype) if t.is_floating_point() else t for n, t in state.items()}
        safetensors.save_file(cast, tmp_path / f"{str(dtype)[6:]}.safetensors")
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    assert_same(read(tmp_path / "float64.safetensors"), state)
    model = load_torch_checkpoint(tmp_path / "float64.safetensors")
    kernel = model.network.get_layer("head_1").kernel
    np.testing.assert_array_equal(kernel, state["list_fc.1.weight"].numpy().T)
    for name in ("float16", "bfloat16"):
        arrays = read(tmp_path / f"{name}.safetensors")
        for name, tensor in state.items():
            np.testing.assert_allclose(arrays[name], tensor, rtol=0.01, atol=1e-6)


@pytest.mark.parametrize("module", ["numpy._core", "numpy.core"])
@pytest.mark.parametrize("legacy", [False, True])
def test_metrics_of_numpy_do_no_harm(tmp_path, state, module, legacy):
    """NumPy 2 and NumPy 1 call the place where they are made differently."""
    metrics = {"best": np.float64(0.9), "epoch": np.int64(3), "curve": np.arange(4.0)}
    metrics["flags"] = [np.bool_(True), {"rate": np.float32(0.1)}]
    content = {"classifier_state_dict": state, **metrics}
    written = io.BytesIO()
    torch.save(content, written, _use_new_zipfile_serialization=not legacy)
    ours, theirs = (b"numpy.core.multiarray", module.encode() + b".multiarray")
    whole = written.getvalue().replace(b"numpy._core.multiarray", ours)
    whole = whole.replace(ours, theirs)
    file = tmp_path / "x.pt"
    if legacy:
        file.write_bytes(whole)
    else:
        with zipfile.ZipFile(written) as old, zipfile.ZipFile(file, "w") as new:
            for record in old.infolist():
                stored = old.read(record).replace(b"numpy._core.multiarray", ours)
                new.writestr(record.filename, stored.replace(ours, theirs))
    assert theirs in file.read_bytes()
    assert_same(read(file), state)
    state["list_fc.0.bias"] = np.float64(1.0)
    with pytest.raises(ValueError, match="x.pt: .*missing: list_fc.0.bias"):
        load_torch_checkpoint(checkpoint(file, state))


def write_safetensors(file, header):
    header = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + b"1234")


def tuples_in_tuples(depth=60):
    """A pickle of a dict whose key is a pair of one pair, which is of one, …, to be hashed."""
    pairs = b")q\x01"
    for i in range(1, depth + 1):
        pairs += bytes([ord("h"), i, ord("h"), i, 0x86, ord("q"), i + 1])
    return b"\x80\x02}q\x00(X\x01\x00\x00\x00x(" + pairs + b"th" + bytes([depth + 1]) + b"K\x01u."


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_is_in_tuples_counts_as_often_as_it_is_there(protocol):
    tens = (0,) * 10
    for content, size in (
        ({"a": [tens] * 10, "b": {1: 2}, "c": {3, 4}}, 130),
        ({((tens,) * 10, tens): 1}, 120),
        ({frozenset([(tens, 1), (tens, 2)]): 1}, 30),
    ):
        pickled = pickle.dumps(content, protocol)
        assert not pickled_size.is_beyond(pickled, 2 * size)
        assert not pickled_size.is_beyond(io.BytesIO(pickled + pickled), 2 * size)
        assert pickled_size.is_beyond(pickled, size // 2)
    assert pickled_size.is_beyond(tuples_in_tuples(), 10**9)
    assert not pickled_size.is_beyond(tuples_in_tuples(8), 5_000)
    assert not pickled_size.is_beyond(b"no pickle", 1)


def test_sizes_are_checked_before_they_are_taken(tmp_path, state):
    def case(name, **changed):
        tensors = {n.replace("__", "."): tensor for n, tensor in changed.items()}
        return checkpoint(tmp_path / f"{name}.pt", {**state, **tensors})

    def blocks(name, count, make):
        return case(name, **{f"layer1__{i}__conv2__weight": make() for i in range(1, count)})

    one = torch.ones(1)
    deflated = tmp_path / "deflated.pt"
    with zipfile.ZipFile(case("whole")) as old:
        with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as new:
            for record in old.infolist():
                new.writestr(record.filename, bytes(10**8) if "data/0" in record.filename else b"")
    lying = tmp_path / "lying.safetensors"
    header = {"fc.weight": {"dtype": "F32", "shape": [10**7, 10**5], "data_offsets": [0, 4]}}
    write_safetensors(lying, header)
    for name, kind in (("byte", "F8_E4M3"), ("half_byte", "F4")):
        shape = [4 * 8 // int(kind[1])]
        header = {"fc.weight": {"dtype": kind, "shape": shape, "data_offsets": [0, 4]}}
        write_safetensors(tmp_path / f"{name}.safetensors", header)
    with zipfile.ZipFile(tmp_path / "tuples.pt", "w") as new:
        for record, content in (("data.pkl", tuples_in_tuples()), ("version", b"3\n")):
            new.writestr(f"x/{record}", content)
    (tmp_path / "old_tuples.pt").write_bytes(tuples_in_tuples())
    torch.save({"classifier_state_dict": state, "more": Grows()}, tmp_path / "grows.pt")
    legacy = tmp_path / "legacy.pt"
    torch.save({"more": Grows()}, legacy, _use_new_zipfile_serialization=False)
    cases = {
        case("head", list_fc__0__weight=one.expand(10**7, 10**5)):
            "is refused: list_fc.0.weight, (10000000, 100000), and those before it take 4,000,",
        case("long_head", list_fc__0__weight=torch.ones(10**6, 1)):
            ": no network of the published code: its variables take 256,",
        case("encoder", list_conv1__0__weight=torch.ones(10**6, 3, 1, 1)):
            ": list_conv1.0.weight does not fit wide_resnet_10_1: (1000000, 3, 1, 1) there",
        case("members", **{f"list_fc__{i}__bias": one for i in range(1000)}):
            ": no network of the published code: 1,000 members",
        blocks("views", 5000, lambda: one): ": no network of the published code: 5,000 blocks in l",
        blocks("layers", 100_000, lambda: one):
            ": no network of the published code: 100,000 blocks in layer1",
        blocks("records", 60_000, lambda: torch.ones(1)): "is refused: it holds 60,",
        deflated: "is refused: whole/data.pkl in it is compressed; PyTorch stores it as it is",
        lying: "is no safetensors file of floats: ",
        tmp_path / "byte.safetensors": "is no safetensors file of floats: ",
        tmp_path / "half_byte.safetensors": "is no safetensors file of floats: ",
        tmp_path / "tuples.pt": "is refused: it holds tuples that stand for many times what is sto",
        tmp_path / "old_tuples.pt": "is refused: it holds tuples that stand for many times what",
        tmp_path / "grows.pt": "is refused: it holds code or objects (builtins.bytearray)",
        legacy: "is refused: it holds code or objects (builtins.bytearray)",
    }  # fmt: skip
    loaded = hostile_files.messages(
        "import torch; from mixmo_tf.deployment import load_torch_checkpoint",
        "load_torch_checkpoint",
        list(cases),
    )
    for said, (file, message) in zip(loaded, cases.items(), strict=True):
        assert said.startswith(str(file)) and message in said, said


def test_the_script_takes_safetensors(tmp_path, state):
    safetensors.save_file(state, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * 100)
    endings, printed = call(
        "convert_checkpoint",
        [f"--input={tmp_path / 'a.safetensors'}", f"--output={tmp_path / 'a.keras'}"],
        [f"--input={tmp_path / 'b.safetensors'}", f"--output={tmp_path / 'b.keras'}"],
    )
    assert endings[0] is None and "wide_resnet_10_1, 2 members, 10 classes" in printed
    said = f"convert_checkpoint.py: {tmp_path}/b.safetensors is no safetensors file"
    assert endings[1].startswith(said)
    assert "\n" not in endings[1]
    model = load_torch_checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="a PyTorch checkpoint is written, .* end in .safetensors"):
        save_torch_checkpoint(model, tmp_path / "c.safetensors")
