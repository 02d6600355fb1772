"""Lets Python run a recipe YAML as a script, and with it torchrun and accelerate: `accelerate launch recipes/x.yaml`.

CPython asks `sys.path_hooks` for an importer of the path that it was told to run, and runs the importer's `__main__`: that is
how zip applications work. An installation adds such a hook at every interpreter start (acc_recipes.pth; from Python 3.15
acc_recipes.start): it imports nothing, and comes here only for a path that ends in .yaml. This module answers for recipes alone
and imports only the standard library.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

_SECTIONS = ("sources:", "extends:", "evaluate:")
"""One of these begins a line of every recipe."""
_RUN = "import sys\nfrom acc.cli import entry\nsys.argv.insert(0, 'acc')\nentry()\n"


def recipe_finder(path: str) -> RecipeFinder:
    """A finder for a recipe.

    Raises:
        ImportError: this is no recipe; the import system asks the next hook.
    """
    try:
        with Path(path).open(encoding="utf-8-sig") as f:
            head = f.read(65_536)
    except (OSError, ValueError) as e:
        raise ImportError(path) from e
    if not any(line.startswith(_SECTIONS) for line in head.splitlines()):
        raise ImportError(path)
    return RecipeFinder(path)


class RecipeFinder:
    """Finds `__main__` in a recipe, and nothing else."""

    def __init__(self, path: str) -> None:
        self.path = path

    def find_spec(self, name: str, target: object = None) -> ModuleSpec | None:
        return ModuleSpec("__main__", self, origin=self.path) if name == "__main__" else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def get_code(self, name: str) -> CodeType:
        return compile(_RUN, self.path, "exec")

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code("__main__"), module.__dict__)
