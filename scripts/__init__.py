"""The commands; installed, they are the package mixmo_scripts."""
