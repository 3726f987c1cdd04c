"""The typed, strict specification of a benchmark run, and its way from YAML."""
