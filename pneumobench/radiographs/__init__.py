"""radiographs."""
