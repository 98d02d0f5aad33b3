"""The published checkpoints as files: they become models and come back, and code is refused."""

import json
import os
import pickle

import numpy as np
import pytest
from scripts_at_work import assert_refused, call, full_disk
from shared_fixtures import REFERENCE
from small_models import tiny_model

import mixmo_tf
from mixmo_tf.deployment import fold, load_torch_checkpoint, save_torch_checkpoint
from mixmo_tf.deployment.torch_checkpoint import read

torch = pytest.importorskip("torch", reason='needs PyTorch: pip install -e ".[torch]"')
pytestmark = pytest.mark.torch

CASES = {
    "wide_resnet_10_1_m2": "wide_resnet_10_1, 2 members, 10 classes, 78,932 parameters",
    "wide_resnet_16_1_m3": "wide_resnet_16_1, 3 members, 7 classes, 176,645 parameters",
    "preact_resnet18_8_m2": "preact_resnet18_1, 2 members, 12 classes, 177,176 parameters",
}


class Code:
    """What a pickle must not do: it creates a folder when it is read."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def state_of(case):
    arrays = np.load(REFERENCE / f"{case}.npz")
    names = [name for name in arrays if name.startswith("state/")]
    return {n.removeprefix("state/"): torch.from_numpy(np.array(arrays[n])) for n in names}


def checkpoint(path, state, **more):
    torch.save({"classifier_state_dict": state, **more}, path)
    return path


def test_the_script_converts_there_and_back(tmp_path):
    calls = []
    for case in CASES:
        published = tmp_path / f"{case}.ckpt"
        checkpoint(published, state_of(case), epoch=300, optimizer_state_dict={"state": {}})
        calls.append([f"--input={published}", f"--output={tmp_path / case}.keras"])
        calls.append([f"--input={tmp_path / case}.keras", f"--output={tmp_path / case}.pt"])
    endings, printed = call("convert_checkpoint", *calls)
    assert endings == [None] * 6
    for case, described in CASES.items():
        assert printed.count(described) == 2
        model = mixmo_tf.load(tmp_path / f"{case}.keras")
        arrays = np.load(REFERENCE / f"{case}.npz")
        shown = [arrays["pixels"][:, 0]] * model.num_members
        even = np.full_like(arrays["masks"], 1 / model.num_members)
        logits, expected = model.forward(shown, even, training=False), arrays["inference/logits"]
        np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
        back, published = read(tmp_path / f"{case}.pt"), read(tmp_path / f"{case}.ckpt")
        for name, array in published.items():
            if "num_batches" not in name:
                np.testing.assert_array_equal(back[name], array, err_msg=name)
    assert "mean 0.49137 0.48235 0.44667, std 0.2023 0.1994 0.201" in printed
    assert "64×64×3; mean 0.5 0.5 0.5" in printed


def test_pytorch_computes_the_same(tmp_path):
    """A plain network's checkpoint, run by a few lines of PyTorch in its own layout."""
    network = mixmo_tf.networks.wide_resnet(10, 1, num_members=1, num_classes=5)
    random = np.random.default_rng(0)
    for variable in network.variables:
        variable.assign(variable.numpy() + 0.1 * random.random(variable.shape))
    model = mixmo_tf.MixMo(network, mixing=None)
    save_torch_checkpoint(model, tmp_path / "plain.pt")
    state = torch.load(tmp_path / "plain.pt", weights_only=True)["classifier_state_dict"]

    def norm_relu(x, name):
        names = "running_mean", "running_var", "weight", "bias"
        values = [state[f"{name}.{each}"] for each in names]
        return torch.relu(torch.nn.functional.batch_norm(x, *values))

    def conv(x, name, stride=1):
        kernel = state[f"{name}.weight"]
        size = kernel.shape[-1]
        if stride == 2 and size == 3:  # TensorFlow's "same": bottom and right only
            x, padding = torch.nn.functional.pad(x, (0, 1, 0, 1)), 0
        else:
            padding = size // 2
        return torch.nn.functional.conv2d(x, kernel, stride=stride, padding=padding)

    pixels = random.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    mean, std = torch.tensor(model.mean), torch.tensor(model.std)
    x = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
    x = conv(x, "conv1")
    for group, stride in ((1, 1), (2, 2), (3, 2)):
        name = f"layer{group}.0"
        inner = conv(norm_relu(x, f"{name}.bn1"), f"{name}.conv1")
        inner = conv(norm_relu(inner, f"{name}.bn2"), f"{name}.conv2", stride)
        x = inner + (conv(x, f"{name}.shortcut.0", stride) if group > 1 else x)
    features = norm_relu(x, "bn1").mean(dim=(2, 3))
    logits = features @ state["fc.weight"].T + state["fc.bias"]
    expected = logits.numpy()
    ours = model.member_logits(pixels)[:, 0]
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


def test_a_folded_network_is_a_plain_checkpoint(tmp_path):
    model = mixmo_tf.MixMo(mixmo_tf.networks.preact_resnet18(1, 2, 5, (32, 32, 3), filters=4))
    save_torch_checkpoint(fold(model), tmp_path / "plain.pt")
    plain = load_torch_checkpoint(
        tmp_path / "plain.pt", image_size=32, mean=np.array([0.1, 0.2, 0.3]), std=[0.4, 0.5, 0.6]
    )
    assert plain.num_members == 1 and plain.mean == (0.1, 0.2, 0.3) and plain.std[2] == 0.6
    plain.mean, plain.std = model.mean, model.std
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    np.testing.assert_allclose(plain(images), model(images), atol=1e-6)
    with pytest.raises(ValueError, match="no folded network with several heads"):
        save_torch_checkpoint(fold(model, members=True), tmp_path / "heads.pt")
    with pytest.raises(ValueError, match="holds one network, a DeepEnsemble has several"):
        save_torch_checkpoint(mixmo_tf.DeepEnsemble([model, plain]), tmp_path / "two.pt")
    with pytest.raises(ValueError, match="no bias in group_1_block_0_conv_1: is batch norm fused"):
        save_torch_checkpoint(fold(model, fuse_batch_norm=True), tmp_path / "fused.pt")
    with pytest.raises(ValueError, match="the published code has no"):
        save_torch_checkpoint(tiny_model(), tmp_path / "tiny.pt")
    with full_disk(10_000), pytest.raises(OSError, match=f"cannot write {tmp_path}/full.pt: "):
        save_torch_checkpoint(model, tmp_path / "full.pt")
    with pytest.raises(ValueError, match="image_size must be >= 1, got 0"):
        load_torch_checkpoint(tmp_path / "plain.pt", image_size=0)
    assert [path.name for path in tmp_path.iterdir()] == ["plain.pt"]


def test_names_of_data_parallel_and_half_precision(tmp_path):
    state = state_of("wide_resnet_10_1_m2")
    half = {f"module.{n}": t.half() if t.is_floating_point() else t for n, t in state.items()}
    back = read(checkpoint(tmp_path / "half.pt", half))
    assert set(back) == set(state) and back["bn1.weight"].dtype == np.float32


def test_what_is_wrong_is_one_line(tmp_path):
    state = state_of("wide_resnet_10_1_m2")
    folder = tmp_path / "executed"
    checkpoint(tmp_path / "code.pt", state, more=Code(folder))
    for protocol in (2, 4):
        content = {"classifier_state_dict": {"conv1.weight": Code(folder)}}
        (tmp_path / f"pickle{protocol}").write_bytes(pickle.dumps(content, protocol))
    (tmp_path / "text").write_text("no checkpoint")
    (tmp_path / "json").write_text(json.dumps({"a": 1}))
    (tmp_path / "empty").touch()
    whole = checkpoint(tmp_path / "whole.pt", state).read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    torch.save({"state": state}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    checkpoint(tmp_path / "short.pt", {n: t for n, t in state.items() if n != "bn1.weight"})
    checkpoint(tmp_path / "long.pt", {**state, "extra.weight": torch.zeros(3)})
    checkpoint(tmp_path / "wide.pt", {**state, "bn1.weight": torch.zeros(3)})
    checkpoint(tmp_path / "none.pt", {"fc.weight": torch.zeros(3, 3)})
    nasty = {
        "sparse": torch.ones(64).to_sparse(),
        "complex": torch.ones(64, dtype=torch.complex64),
        "whole": torch.ones(64, dtype=torch.int64),
        "nan": torch.full((64,), torch.nan),
    }
    for name, tensor in nasty.items():
        checkpoint(tmp_path / f"{name}_numbers.pt", {**state, "bn1.weight": tensor})
    checkpoint(tmp_path / "scalar.pt", {**state, "list_conv1.0.weight": torch.tensor(1.0)})
    checkpoint(tmp_path / "name.pt", {**state, "a\nb": torch.ones(3)})
    checkpoint(tmp_path / "numbers.pt", {**state, 3: torch.ones(3)})
    checkpoint(tmp_path / "nested.pt", {"model": state})
    (tmp_path / "there.keras").touch()

    def converts(name, output="x.keras", *flags):
        return [f"--input={tmp_path / name}", f"--output={tmp_path / output}", *flags]

    refused = "it holds code or objects"
    cases = [
        (converts("code.pt"), f"code.pt is refused: {refused} (posix.mkdir), not weights"),
        (converts("pickle2"), f"pickle2 is refused: {refused} (posix.mkdir)"),
        (converts("pickle4"), f"pickle4 is refused: {refused}"),
        *((converts(n), f"{n} is no PyTorch checkpoint") for n in ("text", "json", "empty")),
        (converts("half.pt"), "half.pt is no PyTorch checkpoint"),
        (converts("other.pt"), "other.pt has no classifier_state_dict; it has state"),
        (converts("list.pt"), "list.pt has no classifier_state_dict"),
        (converts("short.pt"), "short.pt: the state does not fit wide_resnet_10_1: missing: bn1.w"),
        (converts("long.pt"), "left over: extra.weight"),
        (converts("wide.pt"), "bn1.weight does not fit wide_resnet_10_1: (3,) there, (64,) here"),
        (converts("none.pt"), "missing: conv1.weight, layer1.0.conv2.weight; it has fc.weight"),
        *(
            (converts(f"{n}_numbers.pt"), "bn1.weight is no array of floats: torch.")
            for n in ("sparse", "complex", "whole")
        ),
        (converts("nan_numbers.pt"), "bn1.weight has values that are not finite"),
        (converts("scalar.pt"), "no network of the published code: list_conv1.0.weight is ()"),
        (converts("name.pt"), r"a weight has the name 'a\nb'"),
        (converts("numbers.pt"), "a weight has the name 3"),
        (converts("nested.pt"), "its classifier_state_dict is no dict of tensors"),
        (converts("away.pt"), f"there is no checkpoint at {tmp_path / 'away.pt'}"),
        (converts("whole.pt", "there.keras"), "there.keras exists; choose another file"),
        (converts("whole.pt", "no/x.keras"), f"there is no folder {tmp_path / 'no'} for x.keras"),
        (converts("whole.pt", "x.keras", "--mean=1,2"), "mean must be three numbers, got 1,2"),
        (converts("whole.pt", "x.keras", "--std=a,b,c"), "std must be three numbers, got a,b,c"),
        (converts("whole.pt", "x.pt", "--mean=1,2,3"), "--mean is for an --output that ends in"),
        (converts("whole.pt", "x.pt"), "whole.pt is not a readable .keras file"),
    ]
    assert_refused("convert_checkpoint", cases)
    assert not folder.exists() and not (tmp_path / "x.keras").exists()
