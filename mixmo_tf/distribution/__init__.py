"""Which devices train together, and what they exchange; one GPU alone needs none of it."""
