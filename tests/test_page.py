"""The report of evaluations: what stands on the page, and that nothing on it is more than text."""

import io
import re
import xml.etree.ElementTree

import numpy as np
import pytest
from html_pages import Page, content_of
from pages import kept, load_pixels, read, some_answers
from PIL import Image
from scipy.special import softmax

from mixmo_tf import evaluation, experiments, plots
from mixmo_tf.evaluation import metrics
from mixmo_tf.experiments import EvaluationSettings, kept_predictions, page
from mixmo_tf.experiments.page import content, drawings, svg, words, writing
from mixmo_tf.experiments.page.answers_of import Answers

EVIL = "<script>alert('a')</script> & \"b\""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Answers of three members, (logits, labels), and their page; with pixels, names of all."""
    logits, labels = some_answers(members=3)
    about = {"dataset": "toy", "split": "test", "ensemble": "probabilities"}
    about["class_names"] = ["ant", "bee", "cat", "dog"]
    names = np.array([f"{i}.png" for i in range(60)])
    folder = kept(tmp_path_factory.mktemp("toy") / "ours", logits, labels, about, images=names)
    (of_one,), found = read(folder, load_images=load_pixels((2, 4)))
    expected = evaluation.report(logits, labels, "probabilities")
    assert of_one.metrics == expected
    return logits, labels, expected, found


def test_the_metrics_are_those_of_the_evaluation(toy):
    logits, labels, expected, found = toy
    (title,) = (name for name in found.tables if name.startswith("toy, test: 60 images; the"))
    head, *rows = found.tables[title]
    members = ["member 0", "member 1", "member 2"]
    assert head == ["metric", "ensemble", *members, "what it is"]
    assert len(rows) == len(metrics.OF_ONE)
    for key, row in zip(metrics.OF_ONE, rows, strict=True):
        values = [expected[key], *expected[f"member_{key}"]]
        assert row[1:-1] == [metrics.written(key, value) for value in values]
        assert row[-1] == evaluation.METRICS[key].meaning
    between = {row[0]: row[1] for row in found.tables["Between the members"]}
    assert between["disagreement, %"] == f"{100 * expected['disagreement']:.2f}"

    together = evaluation.ensemble_logits(logits, "probabilities")
    by_class = evaluation.per_class(together, labels)
    names = ["ant", "bee", "cat", "dog"]
    head, *rows = found.tables["Classes"]
    assert [row[0] for row in rows] == names
    for c, row in enumerate(rows):
        shares = [f"{100 * by_class[key][c]:.2f}" for key in ("class_recall", "class_precision")]
        assert row[1:4] == [str((labels == c).sum()), *shares]
        others = by_class["confusion_matrix"][c] * (np.arange(4) != c)
        taken_for = names[others.argmax()] if others.max() else "–"
        assert row[4:] == [taken_for, str(others.max())]
    right = int((together.argmax(axis=1) == labels).sum())
    said = f"Of 60 test images of toy, the ensemble of 3 members answers {right} right:"
    assert f"{said} {100 * right / 60:.2f} %" in found.text
    assert "One image is 1.67 %" in found.text
    first, second, third = (metrics.written("nll", each) for each in expected["member_nll"])
    nll = metrics.written("nll", expected["nll"])
    assert f"NLL {nll} members {first}, {second}, {third}" in found.text


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    """Predictions alone: neither pixels, nor a history, flags, or names of anything."""
    monkeypatch.setattr(drawings, "PICTURES", drawings.PICTURES[-1:])
    _, found = read(kept(tmp_path / "bare", *some_answers()))
    for sentence in (
        "There is no history.csv beside the model, so the curves of training are left out.",
        "The images are not at hand where predictions.npz alone is reported",
        "Nothing was evaluated on corrupted images",
        "Nothing was evaluated on images of something else",
        "There is no metrics.json beside the predictions",
        "so the flags of their training are not known",
    ):
        assert sentence in found.text, sentence
    assert "unknown" not in found.text
    assert not any("base64" in image["src"] and "png" in image["src"] for image in found.images)
    assert "image 7" in found.text or "image 1" in found.text  # their numbers stand for them


def test_names_stay_text(tmp_path):
    """In HTML, in SVG, in file names, in paths; and bytes that are no text do no harm."""
    logits, labels = some_answers()
    names = np.array([f"{EVIL}{i}.png" for i in range(60)])
    names[0] = "caf\udce9.png"
    about = {"dataset": EVIL, "split": "test", "class_names": [EVIL, "]]>", "--> <b>", "d\udce9"]}
    folder = kept(tmp_path / "<img src=x onerror=alert(1)>", logits, labels, about)
    settings = EvaluationSettings(predictions=folder, report=str(tmp_path / "<b>"))
    (of_one,) = kept_predictions.read(settings)
    of_one = of_one._replace(image_names=names)
    text = page.html([of_one], settings, None)
    found = Page(text)
    assert len(found.all("script")) == 1 and not found.all("b")[4:]  # the large metrics
    assert {image["alt"] for image in found.images} and not any(
        "onerror" in attributes for _, attributes in found.tags
    )
    assert found.tables["Classes"][1][0] == EVIL and EVIL in found.text
    assert "<img src=x onerror=alert(1)>" in found.text
    sources = [each["srcset"] for each in found.all("source")]
    for image in [*sources, *(image["src"] for image in found.images)]:
        picture = xml.etree.ElementTree.fromstring(content_of(image))  # well-formed
        tags = {element.tag.rpartition("}")[2] for element in picture.iter()}
        assert "script" not in tags and "b" not in tags
    confusion = next(i for i in found.images if i["alt"].startswith("Which classes"))
    letters = " ".join(xml.etree.ElementTree.fromstring(content_of(confusion["src"])).itertext())
    assert "<script>alert('a')" in letters
    (policy,) = [m["content"] for m in found.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy


def test_the_images_with_what_was_said_of_them(toy):
    logits, labels, _, found = toy
    names = ["ant", "bee", "cat", "dog"]
    thumbnails = [image for image in found.images if "svg" not in image["src"]]
    assert all((i["width"], i["height"]) == ("96", "48") for i in thumbnails)
    of_members = softmax(logits.astype(np.float64), axis=-1)
    p = of_members.mean(axis=1)
    index = next(i for i in np.argsort(-p.max(axis=1)) if p[i].argmax() != labels[i])
    label, answer = names[labels[index]], names[p[index].argmax()]
    assert thumbnails[0]["alt"] == f"{index}.png: a {label}, answered {answer}"
    pixels = np.asarray(Image.open(io.BytesIO(content_of(thumbnails[0]["src"]))))
    assert pixels.shape == (2, 4, 3) and (pixels == 4 * index).all()
    facts = [f"label {label} {100 * p[index, labels[index]]:.1f} %"]
    facts.append(f"answer {answer} {100 * p[index].max():.1f} %")
    for i, of_member in enumerate(of_members[index]):
        facts.append(f"member {i} {names[of_member.argmax()]} {100 * of_member.max():.1f} %")
    assert f" {index}.png {' '.join(facts)} " in found.text


@pytest.mark.parametrize("classes, members", [(200, 1), (1001, 4)])
def test_many_classes_and_members(classes, members, tmp_path):
    logits, labels = some_answers(classes, members, 80)
    _, found = read(kept(tmp_path / "a", logits, labels), load_images=load_pixels((8, 8), 1, 80))
    assert len(found.tables["Classes"]) == 1 + classes
    alts = " ".join(image["alt"] for image in found.images)
    assert ("Heat map of the pairs" in alts) == (members > 2)
    assert ("Which classes" in alts) == (classes <= 1000)
    assert ("one member, which cannot differ" in found.text) == (members == 1)
    assert ("not drawn of more than 1,000" in found.text) == (classes > 1000)


def test_several_models_are_compared(tmp_path, monkeypatch):
    labels = some_answers()[1]
    monkeypatch.setattr(drawings, "PICTURES", drawings.PICTURES[:1])
    folders = [kept(tmp_path / f"m{i}", some_answers(seed=i)[0], labels) for i in range(3)]
    settings = EvaluationSettings(predictions=folders, report=tmp_path / "page")
    file = experiments.report(settings)
    assert file == tmp_path / "page" / "report.html"
    found = Page(file.read_text(encoding="utf-8"))
    logits = [some_answers(seed=i)[0] for i in range(3)]
    accuracies = [f"{100 * np.mean(each.mean(1).argmax(-1) == labels):.2f}" for each in logits]
    (title,) = (name for name in found.tables if name.endswith("mean of logits"))
    rows = found.tables[title]
    assert [row[:2] for row in rows[1:4]] == [
        [f"m{i}", accuracy] for i, accuracy in enumerate(accuracies)
    ]
    headings = [text for _, text in found.headings]
    for i in range(3):
        assert f"Model {i}: m{i}" in headings
    assert "Where the models differ most" in headings
    best = max(range(3), key=lambda i: float(accuracies[i]))
    assert f"m{best} has the highest accuracy, {accuracies[best]} %" in found.text
    given = [row for row in found.tables["Flags of the evaluation"] if row[0] == "--predictions"]
    assert [value for _, value in given] == folders  # with commas, they would be one ensemble


@pytest.mark.parametrize(
    "test, said",
    [
        ((-0.05, 0.001, 0.1, 0.3), "5.00 points less accurate than a, which is more than chance"),
        ((0.05, 0.2, -0.1, 0.3), "5.00 points more accurate than a, which may not be more than"),
    ],
)
def test_what_was_tested_is_said_in_words(test, said, tmp_path):
    """The difference of accuracy with its p, and the sign of what the interval of the NLL holds."""
    keys = "accuracy_difference", "mcnemar_p", "nll_difference_low", "nll_difference_high"
    a, b = (kept(tmp_path / name, *some_answers()) for name in "ab")
    settings = EvaluationSettings(predictions=[a, b], report="page")
    first, second = kept_predictions.read(settings)
    paired = dict(zip(keys, test, strict=True)) | {"against": first.name}
    both = [Answers(first, "a"), Answers(second._replace(paired=paired), "b")]
    (sentence,) = (each for each in words.of_several(both) if each.startswith("b is"))
    assert f"b is {said}" in sentence and f"(McNemar's p {test[1]:g})" in sentence
    of_nll = "higher." if test[2] > 0 else "not surely higher or lower."
    assert sentence.endswith(f"its NLL is {of_nll}")


def test_a_page_takes_the_place_of_a_page_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(drawings, "PICTURES", ())
    folder = kept(tmp_path / "a", *some_answers())
    settings = EvaluationSettings(predictions=folder, report=tmp_path / "page")
    file = experiments.report(settings)
    (tmp_path / "page" / "mine.txt").write_text("mine")
    file.write_text(file.read_text().replace("</main>", "<p>of before</p></main>"))
    experiments.report(settings)
    assert "of before" not in file.read_text()
    file.write_text("<p>mine")
    with pytest.raises(FileExistsError, match="report.html exists and is no report of evaluate.py"):
        experiments.report(settings)
    assert file.read_text() == "<p>mine"
    assert {each.name for each in (tmp_path / "page").iterdir()} == {"mine.txt", "report.html"}


def test_who_reads_with_a_keyboard_or_hears_it(toy):
    found = toy[-1]
    levels = [level for level, _ in found.headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    ids = [attributes["id"] for _, attributes in found.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    targets = [link["href"] for link in found.all("a")]
    assert targets[0] == "#content" and all(target[1:] in ids for target in targets)
    labelled = [a["aria-labelledby"] for _, a in found.tags if a.get("aria-labelledby")]
    assert set(labelled) <= set(ids)
    assert all(image["alt"].strip() for image in found.images)
    assert all(each.get("scope") in ("col", "row") for each in found.all("th"))
    assert found.all("html") == [{"lang": "en"}]
    assert not any("style" in attributes for _, attributes in found.tags)


def test_colours_have_enough_contrast():
    """WCAG AA: 4.5 to 1, of everything that is written on either background, light and dark."""
    style = writing._template("style.css")
    found = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(found) == 2

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return np.dot([0.2126, 0.7152, 0.0722], linear)

    for theme in found:
        colours = dict(re.findall(r"--(\w+): (#\w{6});", theme))
        for ink in ("ink", "muted", "accent"):
            for paper in ("paper", "page"):
                low, high = sorted(luminance(colours[name]) for name in (ink, paper))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


def test_what_models_are_called(tmp_path):
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / "model.keras").touch()
    assert content.short_names([[run]]) == ["a"]
    assert content.short_names([[run / "model.keras"]]) == ["a/model.keras"]
    assert content.short_names([[run], [tmp_path / "runs/b"]]) == ["a", "b"]
    assert content.short_names([[run, "x/b"], ["x/b"]])[1].endswith("x/b")
    assert content.short_names([[tmp_path / "k" / "predictions.npz"]]) == ["k"]


def test_a_picture_is_the_same_at_every_call_and_its_letters_are_letters():
    def drawn():
        return svg.svg(plots.confidence_histogram([[0.9, 0.1], [0.2, 0.8]], [0, 0]))

    assert drawn() == drawn() and ">confidence</text>" in drawn() and "Date" not in drawn()
