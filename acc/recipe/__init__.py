"""The recipe: one YAML that describes the whole way from logs to report. Reading it needs neither torch nor transformers."""

from acc.recipe.loading import frozen, load_recipe, recipe_from
from acc.recipe.schema import Recipe

__all__ = ["Recipe", "frozen", "load_recipe", "recipe_from"]
