"""The version of this package, which runs note."""

VERSION = "0.2.0"
