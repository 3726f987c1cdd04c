"""Search for settings with Optuna: one architecture, validation parts alone."""
