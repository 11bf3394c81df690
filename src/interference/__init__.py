"""Merges of separately trained language models, and what happens to each language."""

__version__ = "0.1.0"
