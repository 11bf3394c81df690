"""Merge methods, one file each; every decorated function in this folder is found and registered by name."""
