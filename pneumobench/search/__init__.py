"""Search for settings with Optuna: one architecture, tune parts alone."""
