"""Figures and tables for papers, from the leaderboard of a finished run."""
