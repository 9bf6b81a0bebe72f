"""Measurements, never tests: ratios of two programs in one run on one machine, medians of several, with the spread."""
