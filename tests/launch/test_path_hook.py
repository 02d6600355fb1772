"""Python, and so torchrun and accelerate, run a recipe YAML as a script; other programs neither see nor pay for it."""

from __future__ import annotations

import os
import pkgutil
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import distribution
from pathlib import Path

import pytest

import acc

RECIPE = "sources: [{name: a, path: gone}]\n"
ROOM = Path(acc.__file__).parent / "launch"
FILES = ("acc_recipes.pth", "acc_recipes.start", "acc_recipes.py")
BROKEN = {
    "removed": {},
    "without acc/__init__.py's own names": {"__init__.py": "raise RuntimeError('half removed')\n"},
    "with a syntax error in the hook": {"__init__.py": "", "launch/__init__.py": "", "launch/path_hook.py": "def (\n"},
    "without the hook": {"__init__.py": "", "launch/__init__.py": ""},
    "with a hook that is no text": {"__init__.py": "", "launch/__init__.py": "", "launch/path_hook.py": "\0\0"},
}


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as elsewhere:
        environment = {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **(env or {})}
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=elsewhere, check=False)


def site_of(folder: Path, package: dict[str, str]) -> Path:
    """A folder of installed packages with the files of the hook, and of acc whatever is left of it."""
    for name in FILES:
        shutil.copy(ROOM / name, folder / name)
    for name, text in package.items():
        (folder / "acc" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "acc" / name).write_text(text)
    return folder


def start_as_python_3_15_does(site: Path) -> str:
    """Code that reads acc_recipes.start as PEP 829 says: entry points, one a line, resolved and called."""
    return (
        f"import sys, pkgutil; sys.path.append({str(site)!r})\n"
        f"for line in open({str(site / 'acc_recipes.start')!r}, encoding='utf-8-sig'):\n"
        "    if line.strip() and not line.startswith('#'): pkgutil.resolve_name(line.strip())()\n"
    )


def test_python_runs_a_recipe(tmp_path: Path) -> None:
    for text in (RECIPE, "\ufeff" + RECIPE):
        (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
        done = run(tmp_path / "r.yaml", "--set", "seed=1")
        assert done.returncode == 2
        assert done.stderr.startswith("acc run: source 'a' names "), done.stderr


def test_a_recipe_that_only_evaluates_is_known_and_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("evaluate: {benchmarks: [{name: mrcr, synthetic: {}}]}\n")
    done = run(tmp_path / "r.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("acc run: sources: the recipe 'run' has no sources")
    assert "acc eval --recipe" in done.stderr


@pytest.mark.parametrize("text", ["a: 1\nb: [\n", "# sources:\nx: {extends: 1\n", ""])
def test_other_yaml_is_left_to_python(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.yaml").write_text(text)
    done = run(tmp_path / "other.yaml")
    assert "acc" not in done.stderr and ("SyntaxError" in done.stderr) == bool(text)


def test_what_is_no_file_or_no_text_is_left_to_python(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"sources: \xff\xfe\n")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("bytes.yaml", "folder.yaml", "gone.yaml"):
        done = run(tmp_path / name)
        ours = [word for word in ("acc run", "acc.launch", "acc/launch") if word in done.stderr]
        assert done.returncode and not ours, name


def test_the_hook_imports_nothing_at_interpreter_start() -> None:
    code = "import sys; print(sorted(m for m in sys.modules if m.startswith('acc') or m in ('pathlib', 'yaml', 'pydantic')))"
    assert run("-c", code).stdout.strip() == "[]"
    assert "acc" not in run("-X", "importtime", "-c", "pass").stderr


def test_the_line_of_every_start_takes_less_than_half_a_millisecond() -> None:
    line = (ROOM / "acc_recipes.pth").read_text()
    timed = f"import sys, time; begin = time.perf_counter(); exec({line!r}); print(time.perf_counter() - begin)"
    assert statistics.median(float(run("-S", "-c", timed).stdout) for _ in range(9)) < 500e-6


def test_the_hook_costs_an_import_from_elsewhere_nothing() -> None:
    hook = pkgutil.resolve_name("acc.launch.acc_recipes:answer")
    begin = time.perf_counter()
    for _ in range(1_000):
        with pytest.raises(ImportError):
            hook("/usr/lib/python311.zip")
    assert time.perf_counter() - begin < 0.1


@pytest.mark.parametrize("package", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("python", ["up to 3.14", "from 3.15"])
def test_a_broken_acc_neither_prints_nor_raises_in_other_programs(tmp_path: Path, package: dict[str, str], python: str) -> None:
    site = site_of(tmp_path, package)
    (tmp_path / "x.yaml").write_text(RECIPE)
    start = start_as_python_3_15_does(site) if python == "from 3.15" else f"import site; site.addsitedir({str(site)!r})\n"
    other = run("-S", "-c", start + "import json, runpy; print('well')")
    assert (other.returncode, other.stdout, other.stderr) == (0, "well\n", "")
    asked = run("-S", "-c", start + f"import runpy; runpy.run_path({str(tmp_path / 'x.yaml')!r})")
    assert "NameError: name 'name'" in asked.stderr, "the YAML is Python's again: an annotation"


@pytest.mark.parametrize("python", ["up to 3.14", "from 3.15"])
def test_both_ways_to_start_run_a_recipe(tmp_path: Path, python: str) -> None:
    site = site_of(tmp_path, {})
    (tmp_path / "x.yaml").write_text(RECIPE)
    start = start_as_python_3_15_does(site) if python == "from 3.15" else f"import site; site.addsitedir({str(site)!r})\n"
    code = f"sys.argv = [{str(tmp_path / 'x.yaml')!r}]; runpy.run_path(sys.argv[0])"
    # -S: no installation's own hook; so the packages that acc needs are named.
    packages = os.pathsep.join([str(ROOM.parents[1]), *(p for p in sys.path if "site-packages" in p)])
    done = run("-S", "-c", f"{start}import runpy, sys; {code}", env={"PYTHONPATH": packages})
    assert done.stderr.startswith("acc run: source 'a' names "), done.stderr


def test_the_installation_has_the_files_of_the_hook() -> None:
    files = distribution("acc").files
    assert files is not None
    for name in FILES:
        installed = next((f for f in files if str(f) == name), None)
        assert installed is not None, f"{name} is not installed beside the packages: install again"
        assert installed.locate().read_bytes() == (ROOM / name).read_bytes(), f"{name} has changed: install again"  # type: ignore[attr-defined]
