"""Which images to look at, and as thumbnails what was said of them."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.special import softmax

from mixmo_tf.evaluation.information import entropy_split
from mixmo_tf.experiments.page.answers_of import Answers, printable
from mixmo_tf.experiments.page.blocks import Gallery, Part, Shown, Words

MOST = 12  # images of a kind
_SIDE = 96  # CSS pixels of a thumbnail's longer side
_SHARPEST = 2 * _SIDE  # pixels that are kept of it, for fine screens
_PROBABILITIES = " The numbers behind label and answer are their probabilities."
_MEMBERS = 4  # whose answers are written; of more, the number that gives each answer
NO_PIXELS = (
    "The images are not at hand where predictions.npz alone is reported: their names stand here."
)


class _Kind(NamedTuple):
    title: str
    reading: str
    chosen: Callable[[Answers], np.ndarray]
    none: str  # where there is no such image


def most_confidently_wrong(confidence: np.ndarray, is_wrong: np.ndarray, most: int) -> np.ndarray:
    """Indices of the wrong answers, int (<= most,), from the most confident on; of arrays (N,)."""
    wrong = np.flatnonzero(is_wrong)
    return wrong[np.argsort(-confidence[wrong], kind="stable")][:most]


def most_different(member_logits: np.ndarray, most: int) -> np.ndarray:
    """Indices of the images that members differ most on, int (<= most,), by mutual information.

    Images of which all members say the same are left out; the logits are (N, M, C), M >= 2.
    """
    differ = entropy_split(member_logits)[1]
    order = np.argsort(-differ, kind="stable")[:most]
    return order[differ[order] > 1e-9]


def least_certain(confidence: np.ndarray, most: int) -> np.ndarray:
    """Indices of the least confident answers, int (<= most,), the least confident first."""
    return np.argsort(confidence, kind="stable")[:most]


KINDS = (
    _Kind(
        "Most confidently wrong",
        "Answers that are wrong, the most confident first: labels that are wrong, and what the "
        "model has not understood, gather here.",
        lambda a: most_confidently_wrong(a.confidence, a.is_wrong, MOST),
        "No answer is wrong.",
    ),
    _Kind(
        "Where members differ most",
        "The images on which what the members say differs most, by mutual information.",
        lambda a: most_different(a.of.member_logits, MOST),
        "The members say the same of every image.",
    ),
    _Kind(
        "Least certain",
        "The answers whose largest probability is smallest, the least certain first.",
        lambda a: least_certain(a.confidence, MOST),
        "",
    ),
)


def parts(answers: Answers, pixels_of: Callable | None) -> list[Part]:
    """A part for each kind of images.

    `pixels_of` gives the pixels, uint8 (n, H, W, channels), of indices (n,); it is None where the
    images are not at hand.
    """
    found = []
    for kind in KINDS:
        if "members" in kind.title and answers.num_members == 1:
            alone = f"It has one {answers.member}, which cannot differ from others."
            found.append(Part(kind.title, [Words([alone])]))
            continue
        indices = kind.chosen(answers)
        title = kind.title.replace("members", f"{answers.member}s")
        reading = kind.reading.replace("the members", f"the {answers.member}s")
        if not len(indices):
            found.append(Part(title, [Words([kind.none])]))
            continue
        images = shown(answers, indices, pixels_of and pixels_of(indices))
        if not any(part.blocks[1:] for part in found):
            reading += _PROBABILITIES
        found.append(Part(title, [Words([reading]), Gallery(images)]))
    return found


def shown(answers: Answers, indices: np.ndarray, pixels: np.ndarray | None) -> list[Shown]:
    """Images by their indices (n,), with what was said of each; see `parts` for their pixels."""
    names, labels = answers.class_names, answers.of.labels
    of_members = softmax(answers.of.member_logits[indices].astype(np.float64), axis=-1)
    found = []
    for place, index in enumerate(indices):
        image_name = answers.of.image_names[index]
        is_file = image_name.dtype.kind == "U"
        name = printable(image_name) if is_file else f"image {image_name}"
        label, answer = int(labels[index]), int(answers.answered[index])
        p = answers.probabilities[index]
        facts = [
            ("label", names[label], _percent(p[label])),
            ("answer", names[answer], _percent(p[answer])),
        ]
        facts += _of_members(of_members[place], names, answers.member)
        alt = f"{name}: a {names[label]}, answered {names[answer]}"
        if pixels is None:
            found.append(Shown(name, None, None, False, alt, facts))
        else:
            found.append(Shown(name, *thumbnail(pixels[place]), alt, facts))
    return found


def thumbnail(pixels: np.ndarray) -> tuple[str, tuple[int, int], bool]:
    """Pixels uint8 (H, W, channels) as a data: URI, with its size in CSS pixels.

    The last says whether the image has so few pixels that each is to be seen.
    """
    height, width, channels = pixels.shape
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels[..., :3])
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    is_small = max(height, width) <= _SIDE
    if max(height, width) > _SHARPEST:
        image.thumbnail((_SHARPEST, _SHARPEST))
    file, kind = io.BytesIO(), "png" if is_small else "jpeg"
    image.save(file, kind, **({"optimize": True} if is_small else {"quality": 88}))
    content = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind};base64,{content}", size, is_small


def _of_members(probabilities: np.ndarray, names: Sequence[str], member: str) -> list:
    """What each member says, or of many how many say what; nothing of a single one."""
    if len(probabilities) == 1:
        return []
    answers = probabilities.argmax(axis=1)
    if len(probabilities) <= _MEMBERS:
        return [
            (f"{member} {i}", names[answer], _percent(probabilities[i, answer]))
            for i, answer in enumerate(answers)
        ]
    counts = np.bincount(answers, minlength=len(names))
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)][:3]
    said = ", ".join(f"{names[i]} ({counts[i]})" for i in order)
    return [(f"{member}s", said, "")]


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"
