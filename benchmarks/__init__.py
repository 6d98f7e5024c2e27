"""Figures beside those of their peers, in one run each: `make bench`."""
