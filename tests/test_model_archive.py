"""A .keras file that would take more than it holds is refused, quickly and in little memory."""

import io
import json
import zipfile

import h5py
import hostile_files
import keras
import pytest
from small_models import assert_same, tiny_model

from mixmo_tf.training import checkpoints


def members(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, contents, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def folder_of(path, contents):
    """The same in a folder, as models are shared."""
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def with_network(path, contents, edit):
    """A file whose network's config, a dict, is edited."""
    config = json.loads(contents["config.json"])
    edit(config["config"]["network"]["config"])
    return written(path, {**contents, "config.json": json.dumps(config)})


def many_layers(count):
    def edit(network):
        after = network["layers"][2]["name"]
        for i in range(count):
            layer = {"module": "keras.layers", "class_name": "ReLU", "registered_name": None}
            name = f"more_{i}"
            nodes = [[[after, 0, 0, {}]]]
            after = name
            layer |= {"config": {"name": name}, "name": name, "inbound_nodes": nodes}
            network["layers"].append(layer)

    return edit


def wide_head(network):
    (head,) = (layer for layer in network["layers"] if layer["name"] == "head_1")
    head["config"]["units"] = 10**12


def large_array(stored):
    """The weights with an array that is compressed to nothing."""
    file = io.BytesIO(stored)
    with h5py.File(file, "a") as weights:
        name = next(n for n in all_names(weights) if isinstance(weights[n], h5py.Dataset))
        del weights[name]
        weights.create_dataset(name, (10**5, 10**5), "float32", chunks=True, compression="gzip")
    return file.getvalue()


def large_chunk(stored):
    """The weights with two numbers more, in a chunk of a billion that is unpacked for them."""
    file = io.BytesIO(stored)
    shape = {"shape": (2,), "maxshape": (None,), "chunks": (10**9,)}
    with h5py.File(file, "a") as weights:
        weights.create_dataset("more", dtype="float32", compression="gzip", **shape)
    return file.getvalue()


def all_names(weights):
    names = []
    weights.visit(names.append)
    return names


def claiming(path, contents, name, size):
    """A file whose directory says that a member has `size` bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in contents.items():
            archive.writestr(each, content)
        archive.getinfo(name).file_size = size
    return path


def test_sizes_are_checked_before_they_are_unpacked(tmp_path):
    tiny_model().save(tmp_path / "model.keras")
    good = members(tmp_path / "model.keras")
    weights, config = good["model.weights.h5"], good["config.json"]
    zeros, deflated = bytes(3 * 10**8), zipfile.ZIP_DEFLATED
    cases = {
        written(tmp_path / "weights.keras", {**good, "model.weights.h5": zeros}, deflated):
            "metadata.json in it is compressed; Keras stores it as it is (zip -0)",
        written(tmp_path / "bzip2.keras", {"config.json": config}, zipfile.ZIP_BZIP2):
            "config.json in it is compressed",
        claiming(tmp_path / "claims.keras", good, "model.weights.h5", 8 * 10**9):
            "it claims to unpack to 8,000,",
        written(tmp_path / "config.keras", {**good, "config.json": b"[" + b"[]," * 10**7}):
            "no model's config.json has 30,000,001 bytes",
        written(tmp_path / "assets.keras", {**good, "assets/../../x": b"x"}):
            "it holds 'assets/../../x', which is not of a model of this package",
        with_network(tmp_path / "layers.keras", good, many_layers(100_000)):
            "no model's config.json has",
        with_network(tmp_path / "fewer_layers.keras", good, many_layers(20_000)):
            "its config.json has 120,",
        with_network(tmp_path / "head.keras", good, wide_head):
            "its variables take 32,000,000,0",
        written(tmp_path / "array.keras", {**good, "model.weights.h5": large_array(weights)}):
            "in its weights takes 40,000,000,000 bytes, of ",
        written(tmp_path / "chunk.keras", {**good, "model.weights.h5": large_chunk(weights)}):
            "in its weights takes 4,000,000,000 bytes, of ",
        folder_of(tmp_path / "long", {**good, "config.json": b"[" + b"[]," * 10**7}):
            "no model's config.json has 30,000,001 bytes",
        folder_of(tmp_path / "deep", members(tmp_path / "fewer_layers.keras")):
            "its config.json has 120,",
        folder_of(tmp_path / "head", members(tmp_path / "head.keras")):
            "its variables take 32,000,000,0",
        folder_of(tmp_path / "array", members(tmp_path / "array.keras")):
            "in its weights takes 40,000,000,000 bytes, of ",
        folder_of(tmp_path / "assets", {**good, "assets/x": b"x"}):
            "it holds assets, which are not of a model of this package",
    }  # fmt: skip
    loaded = hostile_files.messages(
        "from mixmo_tf.training import checkpoints", "checkpoints.load_model", list(cases)
    )
    for said, (file, message) in zip(loaded, cases.items(), strict=True):
        assert said.startswith(f"{file} is refused: ") and message in said, said


def test_what_is_left_out_or_damaged_is_named(tmp_path):
    tiny_model().save(tmp_path / "model.keras")
    good = members(tmp_path / "model.keras")
    for name in ("model.weights.h5", "config.json"):
        rest = {each: content for each, content in good.items() if each != name}
        file = written(tmp_path / "x.keras", rest)
        with pytest.raises(ValueError, match=f"x.keras is not a readable .keras file: .*{name}"):
            checkpoints.load_model(file)
    start = good["model.weights.h5"][:999]
    whole = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "x.keras").write_bytes(whole.replace(start, b"x" * 999))
    with pytest.raises(ValueError, match="x.keras is not a readable .keras file: Bad CRC-32"):
        checkpoints.load_model(tmp_path / "x.keras")
    folder = folder_of(tmp_path / "folder", {"config.json": good["config.json"]})
    with pytest.raises(
        ValueError, match="folder is not a readable model: it has no model.weights.h5"
    ):
        checkpoints.load_model(folder)
    (folder / "model.weights.h5").write_bytes(good["model.weights.h5"][:9999])
    with pytest.raises(ValueError, match="folder is not a readable model: "):
        checkpoints.load_model(folder)
    (tmp_path / "x.h5").write_bytes(b"x")
    with pytest.raises(
        ValueError, match="x.h5 is not a readable .keras file: its name must end in"
    ):
        checkpoints.load_model(tmp_path / "x.h5")


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_model_that_was_compiled_and_not_trained_is_loaded(tmp_path, optimizer):
    """Its optimizer's state is not in the file."""
    model = tiny_model()
    model.compile(getattr(keras.optimizers, optimizer)(0.1, use_ema=True), metrics=["accuracy"])
    model.save(tmp_path / "model.keras")
    loaded = checkpoints.load_model(tmp_path)
    assert_same(loaded.get_weights(), model.get_weights())
    assert type(loaded.optimizer).__name__ == optimizer
