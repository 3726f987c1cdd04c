"""How runs bear kills."""
