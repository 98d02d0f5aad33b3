"""Every picture as a function of arrays that gives a matplotlib Figure, and where it is written.

A Figure is saved by its `savefig`; `on_dark` changes it for a dark page. It is laid out for its
own size or a larger one: a narrow page scales the file. Matplotlib is imported when something is
drawn.
"""

from mixmo_tf.plots.comparison import draw as methods_side_by_side
from mixmo_tf.plots.confidence import confidence_histogram
from mixmo_tf.plots.confusion import confusion_matrix, most_confused
from mixmo_tf.plots.corruption import corruption_heat_map
from mixmo_tf.plots.cost import accuracy_against_cost
from mixmo_tf.plots.curves import training_curves
from mixmo_tf.plots.dark import on_dark
from mixmo_tf.plots.diversity import diversity_heat_map
from mixmo_tf.plots.encoders import draw as encoder_filters
from mixmo_tf.plots.masks import sheet as mixing_masks
from mixmo_tf.plots.out_of_distribution import ood_histograms
from mixmo_tf.plots.reliability import reliability_diagram, reliability_of_bins
from mixmo_tf.plots.selective import risk_coverage_curve

__all__ = [
    "accuracy_against_cost",
    "confidence_histogram",
    "confusion_matrix",
    "corruption_heat_map",
    "diversity_heat_map",
    "encoder_filters",
    "methods_side_by_side",
    "mixing_masks",
    "most_confused",
    "on_dark",
    "ood_histograms",
    "reliability_diagram",
    "reliability_of_bins",
    "risk_coverage_curve",
    "training_curves",
]
