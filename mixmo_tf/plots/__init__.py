"""Every picture as a function that gives a matplotlib Figure, and where pictures are written."""
