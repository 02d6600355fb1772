"""Lets Python run a recipe YAML as a script, and with it torchrun and accelerate: `accelerate launch recipes/x.yaml`.

CPython asks `sys.path_hooks` for an importer of the path that it was told to run, and runs the importer's `__main__`: that is
how zip applications work. `acc_recipes.pth` imports this module at every interpreter start, so it imports nothing, never
raises, and answers only for files that are recipes.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType


def recipe_hook(path: str) -> RecipeFinder:
    """A finder for a recipe; `ImportError` for any other path, as the import system expects."""
    if not path.endswith((".yaml", ".yml")):
        raise ImportError
    try:
        with open(path, encoding="utf-8") as f:  # noqa: PTH123 (pathlib would be imported at every interpreter start)
            head = f.read(65_536)
    except (OSError, ValueError):
        raise ImportError from None
    if not any(line.startswith(("sources:", "extends:", "evaluate:")) for line in head.splitlines()):
        raise ImportError
    return RecipeFinder(path)


class RecipeFinder:
    """Finds `__main__` in a recipe, and nothing else."""

    def __init__(self, path: str) -> None:
        self.path = path

    def find_spec(self, name: str, target: object = None) -> ModuleSpec | None:
        if name != "__main__":
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec("__main__", self, origin=self.path)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def get_code(self, name: str) -> CodeType:
        source = f"import sys\nfrom acc.cli import main\nsys.exit(main(['run', {self.path!r}, *sys.argv[1:]]))\n"
        return compile(source, self.path, "exec")

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code("__main__"), module.__dict__)


if recipe_hook not in sys.path_hooks:
    sys.path_hooks.append(recipe_hook)
