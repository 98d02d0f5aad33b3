"""A .flags file per cell of the paper's tables, and small ones; the package mixmo_configs."""
