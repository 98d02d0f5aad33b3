"""Pictures as files: of the method, of the mixing blocks, of a network's encoders."""

import dataclasses
import logging
import pathlib

import keras
import numpy as np

from mixmo_tf import arguments, data, evaluation, masks, random_state
from mixmo_tf.experiments import tables
from mixmo_tf.experiments.fields import REQUIRED, setting
from mixmo_tf.experiments.of_flags import OfFlags, check_is
from mixmo_tf.paths import expanded
from mixmo_tf.plots import encoders, files, idea
from mixmo_tf.plots import masks as pictures_of_masks
from mixmo_tf.training import checkpoints

_log = logging.getLogger(__name__)
_OWNED = 0.9  # share of a filter's norm from which on it is called one member's


@dataclasses.dataclass(frozen=True, kw_only=True)
class IdeaSettings(OfFlags):
    """The flags of draw_idea.py."""

    output: str = setting("docs/idea.png", "Where the picture goes.")
    seed: int = setting(3, "Seed of the mask.", bounds=(0, arguments.MOST))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskSettings(OfFlags):
    """The flags of show_masks.py."""

    mixing: tuple[str, ...] = setting(
        masks.NAMES,
        f"The blocks to draw: {', '.join(masks.NAMES)}.",
        choices=lambda: masks.NAMES,
    )
    dataset: str = setting(
        "digits",
        f"Where the images come from: {', '.join(data.NAMES)}.",
        check=data.check_name,
    )
    data_dir: str | None = setting(
        None, "Folder of tensorflow-datasets; ~/tensorflow_datasets if not set."
    )
    image_size: int | None = setting(
        None,
        "Height and width of an image_folder's images, in pixels.",
        bounds=(1, arguments.LARGEST_SIDE),
    )
    num_members: int = setting(2, "M, the number of members, 2 to 20.", bounds=(2, 20))
    rows: int = setting(3, "Rows of each picture, 1 to 50.", bounds=(1, 50))
    alpha: float = setting(
        2.0,
        "α >= 0, the concentration of the Dirichlet distribution that the ratios κ are drawn from.",
        bounds=(0, None),
    )
    weight_root: float = setting(3.0, "r > 0, the root in the loss weights κ^(1/r).", above=0)
    seed: int = setting(
        0, "Seed of the images and of all that is drawn.", bounds=(0, arguments.MOST)
    )
    output_dir: str = setting("masks", "Folder that the pictures, BLOCK.png, are written to.")

    def __post_init__(self):
        super().__post_init__()
        if not self.mixing:
            arguments.one_of("mixing", "", masks.NAMES)
        if self.image_size is not None:
            data.check_image_size(self.dataset, self.image_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderSettings(OfFlags):
    """The flags of show_encoders.py."""

    model: str = setting(REQUIRED, "A run's folder, or a .keras file.")
    output: str | None = setting(None, "The picture; encoders.png beside the model if not set.")


def draw_idea(settings: IdeaSettings) -> pathlib.Path:
    """Draws the method, from real digits and real masks.

    Returns:
        The picture's path.

    Raises:
        ValueError, OSError: if the picture cannot be written; the message is a line.
    """
    check_is(settings, IdeaSettings)
    output = expanded(settings.output)
    files.check(output)
    figure = idea.draw(settings.seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    files.save(figure, output)
    _log.info("Wrote %s.", output)
    return output


def draw_masks(settings: MaskSettings) -> list[pathlib.Path]:
    """Draws what the mixing blocks do to real images, a picture for each block.

    Returns:
        The pictures' paths.

    Raises:
        ValueError, OSError: if the images do not fit or cannot be read, or a picture cannot be
            written; the message is a line.
    """
    check_is(settings, MaskSettings)
    output = expanded(settings.output_dir)
    pictures = [output / f"{name}.png" for name in settings.mixing]
    for picture in pictures:
        files.check(picture)
    images = _choose_images(settings)
    output.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(settings.mixing, pictures, strict=True):
        figure = pictures_of_masks.draw(
            name, images, settings.alpha, settings.weight_root, settings.seed
        )
        files.save(figure, picture)
        _log.info("Wrote %s.", picture)
    return pictures


def draw_encoders(settings: EncoderSettings) -> np.ndarray:
    """Draws how a network's members split its encoder filters.

    Returns:
        float32 (M, filters), the L1 norm of each member's kernel for each filter.

    Raises:
        ValueError, OSError: if the model cannot be read or is a deep ensemble, or the picture
            cannot be written; the message is a line.
    """
    check_is(settings, EncoderSettings)
    source = expanded(settings.model)
    folder = source if source.is_dir() else source.parent
    output = expanded(settings.output or folder / "encoders.png")
    files.check(output)
    networks = checkpoints.load_model(source).networks
    if len(networks) > 1:
        raise ValueError(f"{source} is a deep ensemble; show its networks one by one")
    norms = evaluation.encoder_norms(networks[0])
    with random_state.seeded(0):
        untrained = evaluation.encoder_norms(keras.models.clone_model(networks[0]))
    scores = evaluation.split_score(norms), evaluation.split_score(untrained)
    summary = f"split score {scores[0]:.2f} (0 shared, 1 separate; untrained {scores[1]:.2f})"
    _log.info("%s\n%s", _table(norms), summary)
    files.save(encoders.draw(norms, summary), output)
    _log.info("Wrote %s.", output)
    return norms


def _choose_images(settings):
    """Test images in [0, 1] of different classes for every row: (rows, M, H, W, channels)."""
    dataset, num_members = settings.dataset, settings.num_members
    split = "test" if data.has_test_split(dataset, data_dir=settings.data_dir) else "train"
    examples = data.load_examples(dataset, split, settings.data_dir, image_size=settings.image_size)
    present = np.unique(examples.labels)
    if num_members > len(present):
        raise ValueError(f"num_members must be <= {len(present)} classes, got {num_members}")
    random = np.random.default_rng(settings.seed)
    chosen = []
    for _ in range(settings.rows):
        for label in random.choice(present, num_members, replace=False):
            chosen.append(random.choice(np.flatnonzero(examples.labels == label)))
    pixels = examples.take(np.array(chosen)).in_memory().images / 255
    return pixels.reshape(settings.rows, num_members, *pixels.shape[1:])


def _table(norms):
    """A line per filter, and what they come to."""
    shares = norms / norms.sum(axis=0)
    members = range(len(norms))
    rows = [["filter", *(f"member {i}" for i in members), "largest share"]]
    for i in range(norms.shape[1]):
        rows.append([str(i), *(f"{norm:.2f}" for norm in norms[:, i]), f"{shares[:, i].max():.0%}"])
    lines = tables.aligned(rows)
    for i in members:
        owned = int((shares[i] > _OWNED).sum())
        of = f"{owned} of the {norms.shape[1]} filters"
        lines.append(f"member {i} has more than {_OWNED:.0%} of {of}")
    return "\n".join(lines)
