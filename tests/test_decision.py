"""Temperature, acceptance and sets that travel with a model: by hand, and in every format."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from small_models import as_if_trained, tiny_model
from tensorflow.lite.tools import flatbuffer_utils

import mixmo_tf
from mixmo_tf import deployment, evaluation, formats
from mixmo_tf.evaluation.decision import Decision, decide, disagreement_of_each, fit
from mixmo_tf.formats import decision_outputs, litert_graphs

FORMATS = ["saved_model", "onnx", "litert"]
BY_HAND = np.log([[0.6, 0.3, 0.1], [0.5, 0.3, 0.2], [0.4, 0.35, 0.25]])


def test_decided_by_hand():
    """At temperature 1: the second image's confidence is the threshold itself.

    Sums of larger probabilities: 0, 0.6, 0.9; 0, 0.5, 0.8; 0, 0.4, 0.75; up to 0.6 is in the set.
    """
    decision = Decision(1.0, 0.5, 0.6)
    ours = decide(BY_HAND, decision)
    assert ours.accept.tolist() == [True, True, False]
    assert ours.prediction_set.tolist() == [[True, True, False]] * 3
    np.testing.assert_allclose(ours.confidence, [0.6, 0.5, 0.4], rtol=1e-6)
    just_below = decide(BY_HAND, Decision(1.0, 0.5001, 0.5999))
    assert just_below.accept.tolist() == [True, False, False]
    assert just_below.prediction_set.sum(axis=1).tolist() == [1, 2, 2]
    hot = decide(BY_HAND, Decision(0.5, 0.5, 0.6))  # probabilities as their squares
    np.testing.assert_allclose(
        hot.calibrated_probabilities[0], np.array([36, 9, 1]) / 46, rtol=1e-6
    )
    assert hot.accept.tolist() == [True, True, False]  # 25 / 38, and 16 / 34.5
    nothing = decide(BY_HAND, Decision(1.0, np.inf, np.inf))
    assert not nothing.accept.any() and nothing.prediction_set.all()


def test_equal_probabilities_are_in_a_set_together():
    tied = np.log([[0.25, 0.5, 0.25]])
    for threshold, expected in ((0.4, [False, True, False]), (0.5, [True, True, True])):
        ours = decide(tied, Decision(1.0, 0.0, threshold))
        assert ours.prediction_set[0].tolist() == expected
        graph = decision_outputs.decide(
            tf.constant(tied, tf.float32), tf.zeros((1, 1, 3)), Decision(1.0, 0.0, threshold)
        )
        assert graph["prediction_set"].numpy()[0].tolist() == expected


def test_disagreement_of_three_members_by_hand():
    """Classes 0 0 1: two of three pairs differ; 2 2 2: none; 0 1 2: all."""
    logits = np.eye(3)[[[0, 0, 1], [2, 2, 2], [0, 1, 2]]]
    np.testing.assert_allclose(disagreement_of_each(logits), [2 / 3, 0, 1])
    graph = decision_outputs.decide(
        tf.constant(logits.mean(axis=1), tf.float32),
        tf.constant(logits, tf.float32),
        Decision(1.0, 0.0, 0.0),
    )
    np.testing.assert_allclose(graph["disagreement"], [2 / 3, 0, 1])
    labels = np.zeros(3, int)
    pairs = [logits[:, pair].argmax(axis=-1) for pair in ([0, 1], [0, 2], [1, 2])]
    of_pairs = [evaluation.disagreement(predicted, labels) for predicted in pairs]
    assert disagreement_of_each(logits).mean() == pytest.approx(np.mean(of_pairs))
    with pytest.raises(ValueError, match="must be of two members or more, got 1"):
        disagreement_of_each(logits[:, :1])


def test_the_graph_decides_as_the_arrays_do():
    random = np.random.default_rng(0)
    for num_classes in (2, 10, 1000):
        logits = random.normal(0, 3, (200, num_classes)).astype(np.float32)
        labels = (logits + random.gumbel(0, 2, logits.shape)).argmax(axis=1)
        decision = fit(logits, labels, coverage=0.8)
        ours = decide(logits, decision)
        graph = decision_outputs.decide(tf.constant(logits), tf.constant(logits[:, None]), decision)
        assert "disagreement" not in graph
        for name, expected in ours._asdict().items():
            np.testing.assert_allclose(graph[name], expected, atol=1e-6, err_msg=name)
        assert 0.8 <= ours.accept.mean() < 0.82
        covered = ours.prediction_set[np.arange(200), labels].mean()
        assert 0.9 <= covered < 0.95 or num_classes == 2


def test_what_is_fitted():
    """The temperature first; then the thresholds of the calibrated probabilities."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, (300, 4))
    labels = (logits + random.gumbel(0, 2, logits.shape)).argmax(axis=1)
    decision = fit(3 * logits, labels, risk=0.2)
    assert decision.temperature == pytest.approx(3 * fit(logits, labels, risk=0.2).temperature)
    calibrated = decide(3 * logits, decision).calibrated_probabilities
    assert decision.temperature == evaluation.fit_temperature(3 * logits, labels)
    kept = evaluation.coverage_and_risk(calibrated, labels, decision.confidence_threshold)
    assert kept[1] <= 0.2 and kept[0] == evaluation.coverage_at_risk(calibrated, labels, 0.2)
    assert decision.set_threshold == evaluation.conformal.threshold(calibrated, labels)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, pixels_and_labels):
    """A model of three members, in all formats, with a Decision, int8 with one of its own."""
    model = as_if_trained(tiny_model(num_members=3, ensemble="probabilities"), seed=6)
    images, labels = pixels_and_labels
    decision = fit(model.ensemble_logits(model.member_logits(images)), labels, coverage=0.7)
    folder = tmp_path_factory.mktemp("exported") / "x"
    seen = []

    def refit(file):
        seen.append(mixmo_tf.load(file).member_logits(images))
        return Decision(decision.temperature / 2, 0.0, 2.0)

    written = deployment.export(
        deployment.fold(model, members=True), folder, FORMATS, ["float32", "int8"], images,
        decision=decision, refit=refit, facts={"note": "é", "decision": {"images": 40}},
    )  # fmt: skip
    return model, decision, folder, written, seen


def test_every_format_decides_alike(exported, pixels_and_labels):
    model, decision, folder, written, _ = exported
    images, _ = pixels_and_labels
    member_logits = model.member_logits(images)
    expected = decide(model.ensemble_logits(member_logits), decision)
    assert 0 < expected.accept.mean() < 1 and 1 < expected.prediction_set.sum(axis=1).mean() < 4
    disagreement = disagreement_of_each(member_logits)
    assert 0 < disagreement.mean() < 1
    for file in written[:3]:
        outputs = mixmo_tf.load(file).outputs(images, batch_size=16)
        for name, ours in expected._asdict().items():
            assert outputs[name].dtype == ours.dtype, (file, name)
            np.testing.assert_allclose(outputs[name], ours, atol=1e-5, err_msg=f"{file} {name}")
        np.testing.assert_array_equal(outputs["disagreement"], disagreement)
        np.testing.assert_allclose(outputs["member_logits"], member_logits, atol=1e-4)
        none = mixmo_tf.load(file).outputs(images[:0])
        assert {name: each.shape[1:] for name, each in none.items()} == {
            name: each.shape[1:] for name, each in outputs.items()
        }
        assert not sum(map(len, none.values()))


def test_int8_is_refitted_and_decides_in_floats(exported, pixels_and_labels):
    _, decision, folder, written, seen = exported
    images, _ = pixels_and_labels
    (of_file,) = seen
    outputs = mixmo_tf.load(written[-1]).outputs(images)
    np.testing.assert_array_equal(outputs["member_logits"], of_file)  # those it was fitted on
    logits = evaluation.ensemble_logits(of_file, "probabilities")
    expected = decide(logits, Decision(decision.temperature / 2, 0.0, 2.0))
    calibrated = outputs["calibrated_probabilities"]
    np.testing.assert_allclose(calibrated, expected.calibrated_probabilities, atol=1e-6)
    assert outputs["accept"].all() and outputs["prediction_set"].all()
    assert np.abs(256 * calibrated - np.round(256 * calibrated)).max() > 0.1


def test_what_a_file_is_stands_in_it(exported, tmp_path):
    model, decision, folder, written, _ = exported
    beside = json.loads((folder / "model.json").read_text())
    assert beside["decision"] == {
        **decision._asdict(),
        "images": 40,
        "of_files": {
            "model_int8.tflite": {
                "temperature": decision.temperature / 2,
                "confidence_threshold": 0.0,
                "set_threshold": 2.0,
            }
        },
    }
    assert mixmo_tf.load(folder).description == beside
    for file in written[1:]:
        alone = shutil.copy(file, tmp_path / f"alone{file.suffix}")
        said = mixmo_tf.load(alone).description
        half = 2 if "int8" in file.name else 1
        assert said["decision"]["temperature"] == decision.temperature / half
        assert said["written_by"]["mixmo_tf"] == mixmo_tf.__version__ and said["note"] == "é"
        assert beside.keys() - said.keys() == {"class_names", "requests"}  # what is beside it
        for name in ("inputs", "outputs", "ensemble", "written_by", "image_shape", "classes"):
            assert said[name] == beside[name], name
        assert said["inputs"]["images"]["colours"] == "RGB"
        assert said["outputs"]["accept"]["dtype"] == "bool"


def test_a_file_alone_knows_its_classes_and_its_ensemble(tmp_path):
    from mixmo_tf.deployment.file_predictor import FilePredictor

    model = tiny_model(ensemble="probabilities", class_names=["a", "b", "ü", "d"])
    for name, form in (("x.onnx", "onnx"), ("x.tflite", "litert")):
        model.export(tmp_path / name, format=form)
        loaded = mixmo_tf.load(tmp_path / name)
        assert loaded.class_names == ("a", "b", "ü", "d")
        assert "decision" not in loaded.description and "accept" not in loaded.outputs(
            np.zeros((1, 16, 16, 3), np.uint8)
        )
        assert FilePredictor(tmp_path / name).ensemble == "probabilities"
    content = (tmp_path / "x.tflite").read_bytes()
    for damaged in ("no JSON", "[1]", "[" * 100_000):
        file = tmp_path / "y.tflite"
        file.write_bytes(_with_other_metadata(content, damaged))
        loaded = mixmo_tf.load(file)
        assert loaded.description == {} and loaded.class_names is None


def _with_other_metadata(content, text):
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    ours = litert_graphs.METADATA.encode()
    model.metadata = [each for each in model.metadata if each.name != ours]
    plain = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    assert litert_graphs.metadata(plain) is None
    return litert_graphs.with_metadata(plain, text)


def test_only_a_decision_is_one(tmp_path):
    with pytest.raises(ValueError, match="must be what evaluation.decision.fit gives, got 0.5"):
        deployment.export(tiny_model(), tmp_path / "x", decision=0.5)
    assert not (tmp_path / "x").exists()


def test_every_output_is_described(exported):
    model, decision, folder, _, _ = exported
    assert list(decision_outputs.OUTPUTS) == [*decide(BY_HAND, decision)._fields, "disagreement"]
    loaded = mixmo_tf.load(folder)
    outputs = loaded.outputs(np.zeros((1, 16, 16, 3), np.uint8))
    described = loaded.description["outputs"]
    assert outputs.keys() == described.keys()
    for name, each in outputs.items():
        assert str(each.dtype) == described[name]["dtype"]
        assert list(each.shape[1:]) == described[name]["shape"][1:]
    assert formats.FORMATS.keys() == loaded.description["requests"].keys()
