"""Writers of files for use without this package, and what all of them take and give."""

from mixmo_tf.formats.export import FORMATS, Format, export, name_of, write_one

__all__ = ["FORMATS", "Format", "export", "name_of", "write_one"]
