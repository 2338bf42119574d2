"""Choosing data: optimal-transport distances, mixtures of sources, scores of examples."""
