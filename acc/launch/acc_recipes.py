"""Installed beside acc_recipes.start, by which Python from 3.15 on calls `install` at every start; the line in acc_recipes.pth
says the same to older ones, without a file to import. Hence small, and nothing is imported before there is a YAML to run.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from acc.launch.path_hook import RecipeFinder


def install() -> None:
    """Let `python x.yaml` run recipes."""
    if answer not in sys.path_hooks:
        sys.path_hooks.append(answer)


def answer(path: str) -> "RecipeFinder":
    """A finder for a recipe; `ImportError` for all else, and where acc is broken."""
    if not str(path).endswith((".yaml", ".yml")):
        raise ImportError
    try:
        from acc.launch.path_hook import recipe_finder
    except Exception:
        raise ImportError from None
    return recipe_finder(path)
