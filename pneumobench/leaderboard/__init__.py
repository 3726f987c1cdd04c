"""What is computed from records: scores, rows, ranking, checks of heat maps, ensembles, external data."""
