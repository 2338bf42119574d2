"""report: see DESIGN."""
