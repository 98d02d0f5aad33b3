"""Writers of files for use without this package, and what all of them take and give."""

from mixmo_tf.formats.export import FORMATS, export, write_one

__all__ = ["FORMATS", "export", "write_one"]
