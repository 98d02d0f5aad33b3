"""Nothing of a user's is lost: what is written appears at once, and takes nothing's place."""

import errno
import os
import pathlib
import secrets
import sys
import threading

import forking
import pytest
import tensorflow as tf
from scripts_at_work import ROOT, full_disk
from small_models import tiny_model

from mixmo_tf import outputs
from mixmo_tf.training import checkpoints


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_loser_of_two_is_told(tmp_path, kind):
    def fill(path, text):
        if kind == "file":
            path.write_text(text)
        else:
            path.mkdir()
            (path / "text").write_text(text)

    path = tmp_path / "x"
    with pytest.raises(OSError, match=f"^cannot write {path}: another process has written it"):
        with outputs.atomically(path) as first:
            fill(first, "first")
            with outputs.atomically(path) as second:
                fill(second, "second")
    assert (path if kind == "file" else path / "text").read_text() == "second"
    assert names(tmp_path) == (["x"] if kind == "file" else ["x", "x/text"])


def test_one_of_many_writers_wins(tmp_path):
    ends = []

    def write(number):
        try:
            outputs.write(tmp_path / "x", str(number) * 1000)
            ends.append(number)
        except OSError as error:
            assert "another process has written it meanwhile" in str(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(ends) == 1 and (tmp_path / "x").read_text() == str(ends[0]) * 1000
    assert names(tmp_path) == ["x"]


def test_where_there_are_no_links(tmp_path, monkeypatch):
    """As on file systems of other systems, and some of networks."""

    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    outputs.write(tmp_path / "x", "mine")
    with pytest.raises(OSError, match="another process has written it meanwhile"):
        outputs.write(tmp_path / "x", "theirs")
    assert (tmp_path / "x").read_text() == "mine" and names(tmp_path) == ["x"]


def test_a_runs_own_file_is_replaced_and_a_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "x")
    outputs.write(tmp_path / "link", "one")
    outputs.write(tmp_path / "link", b"two", replace=True)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "x").read_text() == "two"
    with full_disk(2), pytest.raises(OSError, match=f"^cannot write {tmp_path}/x: File too large$"):
        outputs.write(tmp_path / "x", "three", replace=True)
    with (
        pytest.raises(KeyboardInterrupt),
        outputs.atomically(tmp_path / "x", replace=True) as partial,
    ):
        partial.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "x").read_text() == "two" and names(tmp_path) == ["link", "x"]


def test_what_a_library_makes_of_a_full_disk_is_found(tmp_path):
    """The reason is somewhere behind the exception, or is TensorFlow's."""
    with full_disk(100), pytest.raises(OSError, match="^cannot write /x: File too large$"):
        with outputs.naming("/x"):
            try:
                (tmp_path / "y").write_bytes(bytes(200))
            except OSError:
                raise RuntimeError("unexpected pos 62720") from None
    with full_disk(100), pytest.raises(OSError, match="^cannot write /x: File too large$"):
        with outputs.naming("/x"):
            tf.io.write_file(str(tmp_path / "y"), "y" * 200)
    with pytest.raises(ValueError, match="^of another kind$"), outputs.naming("/x"):
        raise ValueError("of another kind")


def test_what_has_nothing_to_do_with_writing_stays_as_it_is(tmp_path):
    """Another file that is missing or closed to us, a graph that cannot be built, no memory."""
    x, source = tmp_path / "x.json", tmp_path / "none" / "source"
    memory = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    graph = tf.errors.InvalidArgumentError(None, None, "bad graph; node foo")
    closed = PermissionError(errno.EACCES, "Permission denied", str(source))
    full = OSError(errno.ENOSPC, "No space left on device", b"/tmp/other")
    for error in (memory, graph, closed, full, OSError("no such host")):
        with pytest.raises(type(error)) as caught, outputs.atomically(x):
            raise error
        assert caught.value is error
    with pytest.raises(FileNotFoundError, match=f"No such file or directory: '{source}'$"):
        with outputs.atomically(x):
            source.open()
    with pytest.raises(tf.errors.NotFoundError, match=f"{source}; No such file"):
        with outputs.atomically(x):
            tf.io.read_file(str(source))
    with pytest.raises(OSError, match=f"^cannot write {source}: No such file or directory$"):
        with outputs.atomically(x):
            outputs.write(source, "")
    assert names(tmp_path) == []


def test_what_has_to_do_with_it_names_the_file(tmp_path):
    x = tmp_path / "x"
    denied = tf.errors.PermissionDeniedError(None, None, "gs://bucket/x; no such right")
    quota = tf.errors.ResourceExhaustedError(None, None, "/tmp/a; Disk quota exceeded")
    for error, reason in (
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (denied, "no such right"),
        (quota, "Disk quota exceeded"),
    ):
        with pytest.raises(OSError, match=f"^cannot write {x}: {reason}$"), outputs.atomically(x):
            raise error
    for write in (
        lambda partial: (partial / "a").write_text(""),
        lambda partial: tf.io.TFRecordWriter(str(partial / "a")),
        lambda partial: outputs.write(partial / "a", ""),
    ):
        with pytest.raises(OSError, match=f"^cannot write {x}: No such file or directory$"):
            with outputs.atomically(x) as partial:
                write(partial)
    with pytest.raises(OSError, match=f"^cannot write {tmp_path}/{'x' * 300}: File name too long"):
        outputs.write(tmp_path / ("x" * 300), "")
    assert names(tmp_path) == []


def test_a_signal_while_the_temporary_folder_is_made_leaves_nothing(tmp_path, monkeypatch):
    """And one that somebody else has made stays."""
    make = pathlib.Path.mkdir

    def made_then_interrupted(folder, mode):
        make(folder, mode)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pathlib.Path, "mkdir", made_then_interrupted)
        outputs.write(tmp_path / "x", "content")
    assert not list(tmp_path.iterdir())

    monkeypatch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)
    (tmp_path / "partial-x-00000000").mkdir()
    (tmp_path / "partial-x-00000000" / "notes").touch()
    with pytest.raises(OSError, match="^cannot write .*x: File exists$"):
        outputs.write(tmp_path / "x", "content")
    assert [path.name for path in tmp_path.rglob("*")] == ["partial-x-00000000", "notes"]


def test_only_what_a_killed_writer_left_is_removed(tmp_path):
    code = (
        "import os, pathlib; from mixmo_tf import outputs\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with outputs.atomically(folder / 'run.flags') as one, "
        "outputs.atomically(folder / 'notes') as other:\n"
        "    [file.write_text('half') for file in (one, other)]; os.kill(os.getpid(), 9)"
    )
    forking.run([sys.executable, "-c", code], cwd=ROOT)
    left = names(tmp_path)
    assert len(left) == 4
    mine = tmp_path / "partial-run.flags-abcdefgh"
    mine.mkdir()
    (mine / "diary").touch()
    outputs.remove_partial(tmp_path, r"run\.flags|model\.keras")
    kept = [name for name in left if name.startswith("partial-notes-")]
    assert names(tmp_path) == [*kept, mine.name, f"{mine.name}/diary"]


def test_a_link_may_lead_to_a_file_of_any_name(tmp_path):
    """Libraries choose the format by the ending, and that is the link's."""
    link = tmp_path / "model.keras"
    link.symlink_to(tmp_path / "blob")
    checkpoints.save_model(tiny_model(), link)
    assert link.is_symlink() and names(tmp_path) == ["blob", "model.keras"]
    assert checkpoints.load_model(link).num_members == 2
