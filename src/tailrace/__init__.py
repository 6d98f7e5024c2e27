"""Tailrace: a task manager whose long work never gets lost."""

__version__ = "0.1.0"
