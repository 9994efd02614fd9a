"""Datasets with all that describes them, and the integers that are right for them, counted by hand."""
