"""What is declared and measured: suites, papers, cards, and scripts that run from the repository (`python -m`)."""
