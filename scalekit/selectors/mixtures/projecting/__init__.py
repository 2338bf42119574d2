"""The parts of `scalekit.project`: pilots, distances, surface, draws, choice, storing."""
