"""Can reported numbers be true? From rounded metrics, size and prevalence back to confusion matrices."""
