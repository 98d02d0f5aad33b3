"""What Keras sees: MixMo, which is trained, and the models that predict like it."""
