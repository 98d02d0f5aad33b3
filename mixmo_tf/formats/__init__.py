"""Writers of files for use without this package, and what all of them take and give."""
