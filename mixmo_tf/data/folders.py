"""Which of a user's folders hold which split, and which hold a class.

A folder called as in `SPLIT_FOLDERS`, in any case of letters, is a split and never a class.
Hidden folders, and the `__MACOSX` that macOS puts into archives, are neither. Names are
compared in Unicode's form NFC: macOS writes é as two characters, others as one.
"""

import os
import pathlib
import unicodedata
from typing import NamedTuple

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_SPLITS = {name: split for split, names in SPLIT_FOLDERS.items() for name in names}


class Folders(NamedTuple):
    """pathlib.Path of each split; None where there is none. `others` belong to no split."""

    train: pathlib.Path
    validation: pathlib.Path | None = None
    test: pathlib.Path | None = None
    others: tuple = ()

    def of(self, split: str) -> pathlib.Path | None:
        """The folder of "train", "validation" or "test".

        Images that are not trained on are for the test. They are for validation where there
        are others for the test.
        """
        if split == "test":
            return self.test or self.validation
        if split == "validation":
            return self.validation if self.test else None
        return self.train

    def as_before(self) -> "Folders":
        """The same as versions before 0.2 had them: `val` was for the test, no other folder was."""
        is_val = self.validation is not None and self.validation.name == "val"
        return self._replace(validation=None, test=self.validation if is_val else None)


def find(root: pathlib.Path) -> Folders:
    """The folders of the splits below `root`, a pathlib.Path; without splits, all is "train".

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if two folders mean the same split, there is none to train on, or classes
            lie beside it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    splits, others = {}, []
    for folder in below(root):
        split = _SPLITS.get(folder.name.lower())
        if split is None:
            others.append(folder)
        elif split in splits:
            names = f"{splits[split].name} and {folder.name}"
            raise ValueError(f"{root} has {names}, which mean the same; keep one of them")
        else:
            splits[split] = folder
    if not splits:
        return Folders(root)
    if "train" not in splits or (others and not below(splits["train"])):
        found = " and ".join(folder.name for folder in splits.values())
        beside = f" beside {others[0].name}" if others else ""
        raise ValueError(
            f"{root} has {found}{beside}, and no classes in a folder train to train on; a folder "
            f"called {found} is a split, never a class"
        )
    with_classes = {s: f for s, f in splits.items() if s == "train" or below(f)}
    left_out = [folder for folder in splits.values() if folder not in with_classes.values()]
    return Folders(**with_classes, others=(*left_out, *others))


def classes(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The folders of the classes in `folder`, by name (NFC), in the order of the names on disk.

    Raises:
        ValueError: if two folders have the same name but for its Unicode form.
    """
    by_name = {}
    for path in below(folder):
        name = unicodedata.normalize("NFC", path.name)
        if name in by_name:
            raise ValueError(f"{folder} has the folder {name} twice, in two forms of Unicode")
        by_name[name] = path
    return by_name


def below(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders in `folder` that are not left out, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def files(folder: pathlib.Path) -> list[str]:
    """Paths of the files in a folder and those inside it, in order; a folder is visited once."""
    visited, paths = set(), []
    for parent, folders_inside, names in os.walk(folder, followlinks=True):
        real_path = os.path.realpath(parent)
        if real_path in visited:
            folders_inside.clear()
            continue
        visited.add(real_path)
        folders_inside[:] = [name for name in folders_inside if not is_hidden(name)]
        paths += [os.path.join(parent, name) for name in names if not is_hidden(name)]
    return sorted(paths)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is the system's, and none of the user's."""
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")
