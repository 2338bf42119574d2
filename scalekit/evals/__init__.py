"""evals: see DESIGN."""
