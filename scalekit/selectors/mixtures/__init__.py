"""Mixtures of sources: what a mixture will reach, and which one to take."""
