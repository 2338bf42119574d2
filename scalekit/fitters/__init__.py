"""fitters: see DESIGN."""
