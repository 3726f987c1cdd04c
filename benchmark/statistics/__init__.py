"""Simulations of what intervals and tests are worth. Run from the root of the repository; see README.md."""
