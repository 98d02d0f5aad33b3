"""Evaluations as a page for people: report.html, one file that needs no network."""

from mixmo_tf.experiments.page.writing import NAME, html, writer

__all__ = ["NAME", "html", "writer"]
