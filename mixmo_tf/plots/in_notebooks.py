"""A Figure that a notebook shows where a cell ends with it.

One of pyplot's is shown by its backend; a plain Figure, which leaves all settings of Matplotlib
alone, would be shown as the name of its class.
"""

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A Figure that tells IPython its picture."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()
