"""One line on all images of a dataset that cannot be read."""

from collections.abc import Iterable

from mixmo_tf.paths import printable

_MOST_NAMED = 5
_MENDED = ("damaged", "gone")  # what a good file in its place would mend


class DamagedImageError(ValueError):
    """An image cannot be decoded; the message names its file.

    Attributes:
        problems: dict, what each file is that cannot be read, such as "damaged", by its name; all
            of them, while the message names the first.
    """

    def __init__(self, message: str, problems: Iterable[tuple[str, str]] = ()):
        super().__init__(message)
        self.problems = dict(problems)


def check(
    problems: list[tuple[str, str]],
    num_images: int,
    location: str = "",
    advice: str = "put a good file in its place",
) -> None:
    """Raises DamagedImageError if there are problems.

    Args:
        problems: (file's name, what it is, such as "damaged") of each.
        num_images: how many images were looked at.
        location: what comes before a name to make it a path.
        advice: what a single image that is damaged, or gone, calls for.
    """
    if not problems:
        return
    if len(problems) == 1:
        ((name, what),) = problems
        advice = f"; {advice}" if what in _MENDED else ""
        message = f"cannot read {printable(location + name)}: it is {what}{advice}"
        raise DamagedImageError(message, [(f"{location}{name}", what)])
    named = [f"{printable(location + name)} is {what}" for name, what in problems[:_MOST_NAMED]]
    if len(problems) > _MOST_NAMED:
        named.append(f"and {len(problems) - _MOST_NAMED} more")
    raise DamagedImageError(
        f"cannot read {len(problems)} of {num_images} images: {', '.join(named)}",
        [(f"{location}{name}", what) for name, what in problems],
    )
