"""Measurements behind every claim about speed: each compares both sides in one run."""
