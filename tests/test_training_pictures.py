"""What TensorBoard and a run's folder show of a training besides curves: the data of pictures."""

import logging
import shutil
import sys
import types

import numpy as np
import pytest
import shallow_network
from small_models import tiny_model, two_replicas
from stopped_runs import examples

from mixmo_tf import evaluation, experiments, plots
from mixmo_tf.evaluation.member_sums import MemberSums
from mixmo_tf.experiments import directory, history_picture
from mixmo_tf.plots import files
from mixmo_tf.training import history, members_log, mixing_sheet


def answers(num_images=200, num_members=3, num_classes=5):
    random = np.random.default_rng(0)
    members = random.normal(0, 2, (num_images, num_members, num_classes)).astype(np.float32)
    return members.mean(axis=1), members, random.integers(0, num_classes, num_images)


def test_sums_are_the_metrics_of_all_images():
    """Fed batch by batch, in batches of 64 and a rest."""
    ensemble, members, labels = answers()
    sums = MemberSums(3)
    sums.update_state(labels[:9], ensemble[:9], members[:9])
    sums.reset_state()
    for start in range(0, 200, 64):
        part = slice(start, start + 64)
        sums.update_state(labels[part], ensemble[part], members[part])
    found = sums.metrics()
    assert len(found) == 4
    for metrics, logits in zip(found, [ensemble, *members.swapaxes(0, 1)], strict=True):
        probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        assert metrics["accuracy"] == pytest.approx(evaluation.accuracy(logits, labels))
        assert metrics["nll"] == pytest.approx(evaluation.nll(logits, labels), rel=1e-5)
        assert metrics["ece"] == pytest.approx(evaluation.ece(probabilities, labels), abs=1e-6)
        bins = evaluation.reliability_bins(probabilities, labels)
        for ours, theirs in zip(metrics["bins"], bins, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(sums.result(), [each["accuracy"] for each in found], rtol=1e-6)
    clone = MemberSums.from_config(sums.get_config())
    assert clone.bins.shape == sums.bins.shape


def test_sums_are_weighted():
    ensemble, members, labels = answers(4)
    labels[:] = ensemble.argmax(axis=1)
    labels[3] += 1 if labels[3] == 0 else -1
    sums = MemberSums(3)
    sums.update_state(labels, ensemble, members, np.array([[1], [0], [2], [1]]))
    assert sums.metrics()[0]["accuracy"] == 0.75
    assert sums.metrics()[0]["bins"][0].sum() == 4


def test_replicas_add_up(pixels_and_labels):
    """37 images in batches of 8: the last is uneven; and the report has no name more."""
    images, labels = (part[:37] for part in pixels_and_labels)
    with two_replicas().scope():
        model = tiny_model()
    plain = model.evaluate(images, labels, batch_size=8, verbose=0, return_dict=True)
    callback = members_log.MembersLog(None, 1, draws=False)
    callback.set_model(model)
    callback.on_train_begin()
    observed = {"batch_size": 8, "verbose": 0, "return_dict": True, "callbacks": [callback]}
    for _ in range(2):  # which does not add up
        assert model.evaluate(images, labels, **observed) == pytest.approx(plain)
    ensemble, *members = callback.sums.metrics()
    assert ensemble["bins"][0].sum() == 37
    assert ensemble["accuracy"] == pytest.approx(plain["accuracy"])
    assert ensemble["nll"] == pytest.approx(plain["loss"], rel=1e-5)
    accuracies = [plain[f"member_{i}_accuracy"] for i in range(2)]
    assert [each["accuracy"] for each in members] == pytest.approx(accuracies)


@pytest.mark.parametrize("options", [{"mixing": "patchup"}, {"msda": "cutmix", "seed": 4}])
def test_the_sheet_is_what_the_first_step_gets(options, monkeypatch):
    model, data, seen = tiny_model(mixing_probability=1.0, **options), examples(42, 0), []
    members_of = model.members_of

    def recorded(images, labels, weights, drawn):
        found = members_of(images, labels, weights, drawn)
        seen.append((found[0].numpy(), drawn))
        return found

    monkeypatch.setattr(model, "members_of", recorded)
    model.run_eagerly, model.compiled_loss_and_gradients = True, model.loss_and_gradients
    batches = data.training_batches(8, model.seed)
    model.fit(batches, steps_per_epoch=1, epochs=1, verbose=0)
    ((members, drawn),) = seen
    monkeypatch.undo()
    sheets = mixing_sheet.sheets(model, data, 8)
    block = options.get("mixing", "cutmix")
    assert list(sheets) == [block, "linear"] and bool(drawn.binary)
    for row in range(2):
        *pictures, numbers = sheets[block].axes[6 * row : 6 * row + 6]
        pixels = [each.images[0].get_array() for each in pictures]
        for member in range(2):
            np.testing.assert_allclose(
                pixels[member], np.clip(members[row, member] / 2 + 0.5, 0, 1), atol=1e-6
            )
        mask = drawn.masks[row, ..., 0].numpy().repeat(16 // drawn.masks.shape[1], axis=0)
        mask = mask.repeat(16 // drawn.masks.shape[2], axis=1)
        assert ((pixels[2].max(axis=-1) > 0.2) == (mask > 0.5)).all()
        written = [text.get_text() for text in numbers.texts]
        kappa, realised = drawn.ratios[row].numpy(), drawn.masks[row].numpy().mean(axis=(0, 1))
        assert written[1:3] == [f"{each:.2f}" for each in kappa]
        assert written[4:6] == [f"{each:.2f}" for each in realised]
        linear = [text.get_text() for text in sheets["linear"].axes[6 * row + 5].texts]
        assert linear[1:3] == linear[4:6] == written[1:3]  # the same ratios, kept


def test_where_nothing_can_be_shown_there_is_no_sheet():
    plain = tiny_model(num_members=1, mixing=None)
    assert mixing_sheet.sheets(plain, examples(42, 0), 8) == {}
    depth = tiny_model(image_shape=(16, 16, 2))
    assert mixing_sheet.sheets(depth, examples(42, 0), 8) == {}
    assert list(mixing_sheet.sheets(tiny_model(mixing="linear"), examples(42, 0), 8)) == ["linear"]


def test_the_diagram_shows_the_bins_of_each():
    """15 answers at 0.5 of which 10 are right, and 5 at 0.9, all of them; a member's at 0.2."""
    ensemble = [0, 15, 5], [np.nan, 10 / 15, 1.0], [np.nan, 0.5, 0.9]
    member = [20, 0, 0], [0.5, np.nan, np.nan], [0.2, np.nan, np.nan]
    bins = {"ensemble": ensemble, "member 0": member}
    figure = plots.reliability_of_bins(bins, "epoch 3", with_members=True)
    above, below = figure.axes
    _, of_ensemble, of_member = above.lines
    np.testing.assert_allclose(of_ensemble.get_xydata(), [[0.5, 10 / 15], [0.9, 1.0]])
    np.testing.assert_allclose(of_member.get_xydata(), [[0.2, 0.5]])
    assert of_ensemble.get_color() == plots.style.INK != of_member.get_color()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[1:] == ["ensemble: ECE 15.00%", "member 0: ECE 30.00%"]  # (15 / 6 + 5 / 10) / 20
    assert below.patches[0].get_data().values.tolist() == [0, 15, 5]
    with pytest.raises(ValueError, match="^bins must have an entry at least, got none$"):
        plots.reliability_of_bins({})


def test_diagrams_take_little_of_the_time(monkeypatch):
    """Epochs of 20 s: half a second of each may be spent only after 25 s, and after the last."""
    clock = [0.0]
    monkeypatch.setattr(members_log.time, "perf_counter", lambda: clock[0])
    callback, drawn = members_log.MembersLog(None, 9, draws=True), []
    callback.set_model(types.SimpleNamespace(stop_training=False))
    callback._began = 0.0
    for epoch in range(9):
        clock[0] += 20
        if callback._may_draw(epoch):
            drawn.append(epoch + 1)
            callback._drawing += 0.5
    assert drawn == [2, 3, 4, 5, 7, 8, 9]


def test_history_is_drawn_and_left_alone(finished, tmp_path, monkeypatch, caplog):
    path, figures = shutil.copytree(finished[0], tmp_path / "run"), []
    draw = plots.training_curves

    def noted(histories):
        figures.append(draw(histories))
        return figures[-1]

    monkeypatch.setattr(plots, "training_curves", noted)
    picture = path / history.PICTURE
    before = picture.read_bytes(), picture.stat().st_mtime_ns
    history_picture.draw(path)
    assert not figures and (picture.read_bytes(), picture.stat().st_mtime_ns) == before
    history.cut(path, 1)
    history_picture.draw(path)
    (figure,) = figures
    accuracy = {line.get_color(): line.get_ydata().tolist() for line in figure.axes[1].lines}
    assert accuracy[plots.style.INK] == history.read(path)["val_accuracy"].tolist()
    assert picture.read_bytes() != before[0]
    files.check(picture)  # `show_encoders --output` may write over it, as over any of ours
    strange = b"a picture that Matplotlib has drawn for somebody"
    picture.write_bytes(strange)
    with caplog.at_level(logging.INFO, "mixmo_tf"):
        history_picture.draw(path)
    assert picture.read_bytes() == strange
    assert caplog.messages == [
        f"{picture} is not of this run, so it stays, and its curves are not drawn."
    ]
    picture.unlink()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    history_picture.draw(path)
    assert not picture.exists()


def test_somebody_elses_history_png_is_no_place_for_a_run(tmp_path):
    (tmp_path / history.PICTURE).write_bytes(b"mine")
    with pytest.raises(ValueError, match="holds history.png but no run.flags; choose another"):
        directory.start(tmp_path, [], {})


def test_without_matplotlib_a_sentence_is_all(tmp_path, monkeypatch, caplog, untraced):
    shallow_network.stand_in(monkeypatch, draws=True)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    few = {"filters": 2, "epochs": 1, "batch_size": 512, "batch_repetitions": 1}
    with caplog.at_level(logging.INFO, "mixmo_tf"):
        run = experiments.train(experiments.Settings(**few, output_dir=tmp_path / "run"))
    said = "Matplotlib is not installed: no picture of the training is drawn."
    assert caplog.messages.count(said) == 1 and run.metrics["steps"] == 2
    assert not (run.path / history.PICTURE).exists()
