"""A SavedModel that takes files' bytes answers as the model does to the same files."""

import functools
import json
import shutil
import struct

import hostile_files
import numpy as np
import pytest
import tensorflow as tf
from hostile_bytes import HOSTILE
from picture_files import (
    AXES,
    DOTS,
    UPRIGHT,
    encoded,
    palette,
    png_chunk,
    stored,
    with_exif_at_end,
)
from PIL import Image
from small_models import tiny_model
from tensorflow.core.protobuf import saved_model_pb2

import mixmo_tf
from mixmo_tf import data, deployment
from mixmo_tf.data import encoded as encoded_images
from mixmo_tf.formats import trusted_operations

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
SHAPE = (16, 16, 3)


@functools.cache
def decoder(image_shape, central_fraction=1.0):
    """`encoded.pixels` as a graph of strings."""
    signature = [tf.TensorSpec((None,), tf.string)]
    decode = functools.partial(
        encoded_images.pixels, image_shape=image_shape, central_fraction=central_fraction
    )
    return tf.function(decode, input_signature=signature, autograph=False)


def check_same(tmp_path, contents, image_shape=SHAPE, central_fraction=1.0):
    """The graph's pixels are those of `read_images`."""
    files = []
    for i, content in enumerate(contents):
        files.append(tmp_path / f"{i}.jpg")
        files[-1].write_bytes(content)
    pixels = decoder(image_shape, central_fraction)(tf.constant(contents)).numpy()
    np.testing.assert_array_equal(pixels, data.read_images(files, image_shape, central_fraction))
    return pixels


def test_jpeg_and_png_of_every_kind(tmp_path):
    image, transparent = palette()
    jpegs = {"CMYK": 95, "L": 90, "RGB": 30}
    contents = [
        *(encoded(Image.fromarray(NOISE).convert(m), "JPEG", quality=q) for m, q in jpegs.items()),
        encoded(NOISE, "JPEG", progressive=True, subsampling=0),
        encoded(DOTS, "PNG"),
        encoded(DOTS[..., [0, 3]].copy(), "PNG"),
        encoded(image, "PNG", **transparent),
        encoded(image, "PNG"),
        encoded(Image.fromarray(NOISE).convert("1"), "PNG"),
        encoded(Image.fromarray(NOISE).convert("L"), "PNG"),
        encoded(NOISE[..., 0].astype(np.uint16) * 257, "PNG"),
        encoded(NOISE, "PNG", transparency=tuple(map(int, NOISE[20, 30]))),
        tf.io.encode_png(NOISE).numpy(),
    ]
    check_same(tmp_path, contents)
    check_same(tmp_path, contents[:5], central_fraction=0.875)
    same_size = [encoded(NOISE, "JPEG"), encoded(NOISE[::-1], "PNG")]
    check_same(tmp_path, same_size, image_shape=(40, 60, 3))


def test_all_orientations(tmp_path):
    pngs = [encoded(stored(i), "PNG", i) for i in AXES]
    jpegs = [encoded(stored(i), "JPEG", i, quality=95, subsampling=0) for i in AXES]
    at_end = [with_exif_at_end(encoded(stored(i), "PNG"), i) for i in AXES]
    square = UPRIGHT[:, 4:20]
    for pixels in check_same(tmp_path, pngs + at_end):
        np.testing.assert_array_equal(pixels, square)
    for pixels in check_same(tmp_path, jpegs):
        assert np.abs(pixels.astype(int) - square).max() <= 3
    transparent = np.dstack([stored(6), np.full(stored(6).shape[:2], 255)]).astype(np.uint8)
    transparent[stored(6)[..., 0] == 90] = 0
    check_same(tmp_path, [encoded(transparent, "PNG", 6)])


def in_segment(jpeg, payload, before=b""):
    """A JPEG with an APP1 behind its first marker, and other bytes before it."""
    segment = b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    return jpeg[:2] + before + segment + jpeg[2:]


def exif(entries, order="<", start=8):
    """EXIF of these entries (tag, type, count, value's four bytes)."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    head += struct.pack(f"{order}I", start) + bytes(start - 8)
    packed = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    return head + struct.pack(f"{order}H", len(entries)) + packed + bytes(4)


def test_exif_and_xmp_as_cameras_and_programs_write_them(tmp_path):
    plain = encoded(stored(6), "JPEG", quality=95, subsampling=0)
    png = encoded(stored(6), "PNG")
    six = struct.pack("<H", 6) + b"\0\0"
    other = (271, 2, 4, b"abc\0")
    turned = [
        exif([(274, 3, 1, six)]),
        exif([other, (274, 3, 1, six), (305, 2, 2, b"a\0\0\0")]),
        exif([(274, 3, 1, struct.pack(">H", 6) + b"\xff\xff")], ">"),
        exif([(274, 4, 1, struct.pack(">I", 6))], ">", start=20),
        exif([(274, 3, 1, six), (274, 3, 1, struct.pack("<H", 3) + b"\0\0")]),
        exif([(274, 3, 2, six)]),
        b"Exif\0\0" + exif([(274, 3, 1, six)]),
    ]
    upright = [
        b"",
        b"MM\0*\0\0\0\xff",
        b"garbage",
        exif([]),
        exif([(274, 1, 1, b"\6\0\0\0")]),
        exif([(274, 3, 1, struct.pack("<H", 9) + b"\0\0")]),
        exif([(274, 3, 1, six)], start=8)[:-10],
        exif([other] * 3)[:4] + b"\xff\xff\xff\xff",
    ]
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta \xff\xfe\n %s </x:xmpmeta>"
    attribute, element = b'tiff:Orientation="6"', b"<tiff:Orientation>6</tiff:Orientation>"
    extra = b"\xff\xe3\0\7Meta\0" + b"\xff\xff\xfe\0\4ab" + b"\xff\xe2\0\6ICC_"
    contents = [in_segment(plain, b"Exif\0\0" + each) for each in turned + upright]
    contents += [in_segment(plain, xmp % each) for each in (attribute, element, b"", b"<a>6</a>")]
    contents.append(in_segment(in_segment(plain, xmp % element), b"Exif\0\0" + exif([other])))
    contents.append(in_segment(in_segment(plain, xmp % element), b"Exif\0\0" + turned[0]))
    contents.append(in_segment(plain, b"Exif\0\0" + turned[0], before=extra))
    end = png.index(b"IEND") - 4
    for each in turned + upright:
        contents.append(png[:33] + png_chunk(b"eXIf", each) + png[33:])
        contents.append(png[:end] + png_chunk(b"tEXt", b"a\0eXIf") + png[end:])
    pixels = check_same(tmp_path, contents)
    is_turned = np.abs(pixels.astype(int) - UPRIGHT[:, 4:20]).max((1, 2, 3)) <= 3
    is_jpeg = len(turned + upright)
    assert is_turned[:is_jpeg].tolist() == [True] * len(turned) + [False] * len(upright)
    assert is_turned[is_jpeg : is_jpeg + 7].tolist() == [True, True, False, False, True, True, True]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model that has learnt nothing, and the folder of its export."""
    path = tmp_path_factory.mktemp("exported") / "model"
    model = tiny_model(class_names=["a", "b", "c", "d"])
    deployment.export(model, path, input="jpeg")
    return model, path


@pytest.fixture(scope="module")
def signature(exported):
    return tf.saved_model.load(exported[1]).signatures["serving_bytes"]


def test_the_signature_answers_as_the_model_does(exported, signature, tmp_path):
    def answer(contents):
        return signature(image_bytes=tf.constant(contents, tf.string, [len(contents)]))

    model, path = exported
    contents = [encoded(stored(6), "JPEG", 6), encoded(DOTS, "PNG"), encoded(NOISE, "JPEG")]
    files = [tmp_path / str(i) for i in range(3)]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    expected = model.predict(data.read_images(files, SHAPE), verbose=0)
    answers = answer(contents)
    assert {name: value.shape for name, value in answers.items()} == {
        "probabilities": (3, 4), "member_probabilities": (3, 2, 4), "member_logits": (3, 2, 4),
    }  # fmt: skip
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-6)
    assert answer([])["probabilities"].shape == (0, 4)
    loaded = mixmo_tf.load(path)
    np.testing.assert_allclose(
        loaded.predict(data.read_images(files, SHAPE), verbose=0), expected, atol=1e-6
    )


def test_it_is_described_and_named_for_base64(exported):
    """TensorFlow Serving takes {"b64": …} for a tensor whose name ends with _bytes."""
    _, path = exported
    description = json.loads((path / "model.json").read_text())
    assert description["inputs_of_serving_bytes"]["image_bytes"]["shape"] == ["n"]
    assert description["central_fraction"] == 1.0
    saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    signature = saved_model.meta_graphs[0].signature_def["serving_bytes"]
    assert list(signature.inputs) == ["image_bytes"]
    assert signature.inputs["image_bytes"].dtype == tf.string.as_datatype_enum
    assert [each.size for each in signature.inputs["image_bytes"].tensor_shape.dim] == [-1]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused(name, signature, tmp_path):
    content, message = HOSTILE[name]
    good = encoded(UPRIGHT, "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError, match=message) as raised:
        signature(image_bytes=tf.constant([good, content]))
    if "must be of" in message or "decoded" in message:
        assert "[1]" in str(raised.value)  # the number of the image
    assert signature(image_bytes=tf.constant([good]))["probabilities"].shape == (1, 4)
    if name not in ("GIF", "WebP"):  # which are read from files
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(data.DamagedImageError, match="^cannot read .*a.jpg: it is"):
            data.read_images([tmp_path / "a.jpg"], SHAPE)


BOTH_REFUSE = """
import tensorflow as tf
from mixmo_tf import data

signature = tf.saved_model.load({path!r}).signatures["serving_bytes"]
signature(image_bytes=tf.zeros([0], tf.string))


def load(file):
    try:
        signature(image_bytes=tf.constant([open(file, "rb").read()] * 2))
    except tf.errors.InvalidArgumentError:
        data.read_images([file] * 2, (16, 16, 3))
"""


def test_hostile_bytes_take_little_time_and_memory(exported, tmp_path):
    files = [tmp_path / str(i) for i in range(len(HOSTILE))]
    for file, (content, _) in zip(files, HOSTILE.values(), strict=True):
        file.write_bytes(b"" if content[:3] == b"GIF" or content[:4] == b"RIFF" else content)
    load = BOTH_REFUSE.replace("{path!r}", repr(str(exported[1])))
    for message in hostile_files.messages(load, "load", files):
        assert message.startswith("cannot read 2 of 2 images: ")


def edited(path, folder, edit):
    """The SavedModel in another folder, with a change of its graph."""
    shutil.copytree(path, folder)
    file = folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    edit(saved_model.meta_graphs[0])
    file.write_bytes(saved_model.SerializeToString())
    return folder


def test_loops_and_decoders_are_trusted_in_this_signature_alone(exported, tmp_path):
    _, path = exported
    trusted_operations.check(path)

    def child(graph, name):
        """The node of the signatures, and the child that has this name."""
        for node in graph.object_graph_def.nodes:
            for each in node.children:
                if each.local_name == name:
                    return each

    def default_is_of_bytes(graph):
        child(graph, "serving_default").node_id = child(graph, "serving_bytes").node_id

    def swapped(graph):
        default, of_bytes = child(graph, "serving_default"), child(graph, "serving_bytes")
        default.local_name, of_bytes.local_name = "serving_bytes", "serving_default"

    def default_calls_of_bytes(graph):
        nodes = graph.object_graph_def.nodes
        names = [
            nodes[child(graph, name).node_id].bare_concrete_function.concrete_function_name
            for name in ("serving_default", "serving_bytes")
        ]
        (function,) = (f for f in graph.graph_def.library.function if f.signature.name == names[0])
        node = function.node_def.add(name="also", op="StatefulPartitionedCall")
        node.attr["f"].func.name = names[1]

    def reads(graph):
        for function in graph.graph_def.library.function:
            if any(node.op == "DecodeJpeg" for node in function.node_def):
                function.node_def.add(name="read", op="ReadFile")

    for edit in (default_is_of_bytes, swapped, default_calls_of_bytes):
        folder = edited(path, tmp_path / edit.__name__, edit)
        with pytest.raises(ValueError, match="it has the operation (Stateless|Substr|String|Decode"
                                             "|Tensor|ScaleAnd|StaticRegex)"):  # fmt: skip
            mixmo_tf.load(folder)
    with pytest.raises(ValueError, match="it has the operation ReadFile,"):
        mixmo_tf.load(edited(path, tmp_path / "reads", reads))


def test_what_cannot_take_bytes_is_named(tmp_path):
    model = tiny_model()
    with pytest.raises(ValueError, match="^input=jpeg is for the format saved_model$"):
        deployment.export(model, tmp_path / "x", formats=["onnx"], input="jpeg")
    with pytest.raises(ValueError, match="^input must be one of pixels, jpeg, got 'gif'$"):
        deployment.export(model, tmp_path / "x", input="gif")
    with pytest.raises(ValueError, match=r"^central_fraction must be > 0, got 0$"):
        deployment.export(model, tmp_path / "x", input="jpeg", central_fraction=0)
    network = mixmo_tf.networks.preact_resnet18(1, 1, 3, (8, 8, 1), filters=2)
    grey = mixmo_tf.MixMo(network, mixing=None, mean=(0.5,), std=(0.5,))
    with pytest.raises(ValueError, match="^input=jpeg is for models of 3 channels, and this takes"):
        deployment.export(grey, tmp_path / "x", input="jpeg")
    assert not list(tmp_path.iterdir())
