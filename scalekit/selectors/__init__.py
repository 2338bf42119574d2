"""selectors: see DESIGN."""
