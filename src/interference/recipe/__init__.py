"""Recipes: what to merge and how. Frozen and hashable; in and out as mergekit's YAML."""

from interference.recipe.reading import parse_recipe, read_recipe
from interference.recipe.recipe import BASES, DTYPES, MEAN, ZERO, Recipe, Slice, checkpoint_of
from interference.recipe.sites import Site, output_names, site_at, sites
from interference.recipe.values import Gradient, Value, Where
from interference.recipe.writing import beyond_mergekit, mergekit_yaml

__all__ = [
    "BASES", "DTYPES", "MEAN", "ZERO", "Gradient", "Recipe", "Site", "Slice", "Value", "Where", "beyond_mergekit",
    "checkpoint_of", "mergekit_yaml", "output_names", "parse_recipe", "read_recipe", "site_at", "sites",
]  # fmt: skip
