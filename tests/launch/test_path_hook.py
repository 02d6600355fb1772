"""Python, and so torchrun and accelerate, run a recipe YAML as a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RECIPE = "sources: [{name: a, path: gone}]\n"


def run(path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *flags, str(path)], capture_output=True, text=True, cwd=path.parent)


def test_python_runs_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    done = run(tmp_path / "r.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("acc run: source 'a' names ")


def test_a_recipe_that_only_evaluates_is_known_and_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("evaluate: {benchmarks: [{name: mrcr, synthetic: {}}]}\n")
    done = run(tmp_path / "r.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("acc run: sources: the recipe 'run' has no sources")
    assert "acc eval --recipe" in done.stderr


def test_other_yaml_is_left_to_python(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("a: 1\nb: [\n")
    assert "SyntaxError" in run(tmp_path / "other.yaml").stderr


def test_the_hook_imports_nothing_at_interpreter_start() -> None:
    code = "import sys; print(sorted(m for m in sys.modules if m.startswith('acc') or m in ('pathlib', 'yaml', 'pydantic')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['acc', 'acc.launch', 'acc.launch.path_hook']"
