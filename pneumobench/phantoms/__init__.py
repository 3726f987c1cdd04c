"""Synthetic chest radiographs of children with exact lung masks, for the quickstart and for tests."""
