"""Rates of training, of the streams and of inference, measured side by side."""
