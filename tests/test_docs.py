"""The documents say what the code does: generated ones are fresh, links lead somewhere, and the code of the how-tos runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from acc.cli import VERBS

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def acc(*arguments: str | Path, at: Path, package: Path = ROOT) -> str:
    """What `acc` prints, run in `at` with the package that lies in `package`."""
    environment = {**os.environ, "PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "acc", *map(str, arguments)]
    found = subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with a copy of the package."""
    shutil.copytree(ROOT / "acc", tmp_path / "tree" / "acc", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "tree"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has {text.count(old)} of {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_generated_documents_are_what_the_code_says() -> None:
    found = subprocess.run(
        [sys.executable, "scripts/make_docs", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("document", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("document", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_names_a_verb_a_recipe_and_a_script_that_are_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    for verb in re.findall(r"(?:^|(?<!-m)[\s(])acc ([a-z]+)", code, re.MULTILINE):
        assert verb in VERBS, f"acc {verb}"
    for path in re.findall(r"(?<![\w/.<-])((?:recipes|scripts|docker)/[\w./-]+[\w])", code):
        assert (ROOT / path).exists() or "mine" in path, path


def test_a_new_format_as_its_how_to_says_reads_its_record(copied: Path, tmp_path: Path) -> None:
    how_to = "docs/howto/new_format.md"
    formats = copied / "acc" / "trajectories" / "formats"
    (formats / "field_notes.py").write_text(blocks(how_to, "python")[0], encoding="utf-8")
    replace(formats / "__init__.py", "    gemini_cli,\n", "    field_notes,\n    gemini_cli,\n")
    replace(formats / "__init__.py", "    tau_bench.FORMAT,\n", f"    tau_bench.FORMAT,\n{blocks(how_to, 'text')[0]}")
    (tmp_path / "notes.jsonl").write_text(blocks(how_to, "json")[0], encoding="utf-8")
    [file] = json.loads(acc("formats", "notes.jsonl", "--json", at=tmp_path, package=copied))["files"]
    assert (file["format"], file["read"], file["outcomes"]) == ("field_notes", 1, {"success": 1})
    printed = acc("compile", "notes.jsonl", "-o", "compiled", at=tmp_path, package=copied)
    [sample] = pq.read_table(tmp_path / "compiled" / "samples.parquet").to_pylist()
    assert (sample["question"], sample["ground_truth_answer"]) == ("When was the bridge built?", "1566"), printed


def test_a_new_benchmark_as_its_how_to_says_grades_its_rows(copied: Path, tmp_path: Path) -> None:
    module = next(b for b in blocks("docs/howto/new_benchmark.md", "python") if b.startswith('"""Keys'))
    (copied / "acc" / "evaluate" / "keys.py").write_text(module, encoding="utf-8")
    benchmarks = copied / "acc" / "evaluate" / "benchmarks.py"
    replace(benchmarks, "import bins, graphwalks, mrcr", "import bins, graphwalks, keys, mrcr")
    replace(benchmarks, '("graphwalks", graphwalks))', '("graphwalks", graphwalks), ("keys", keys))')
    replace(
        copied / "acc" / "recipe" / "evaluation.py",
        '    name: Literal["mrcr", "graphwalks"]',
        '    name: Literal["mrcr", "graphwalks", "keys"]',
    )
    rows = [{"prompt": f"a: 1\nb: {n}\nWhat is b?", "answer": str(n), "distance": ("near", "far")[n % 2]} for n in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "keys.parquet")
    said = [json.dumps({"row": n, "response": f"It is {n}." if n else "0 or 1"}) for n in range(4)]
    (tmp_path / "responses.jsonl").write_text("\n".join(said), encoding="utf-8")
    found = json.loads(
        acc("grade", "keys", "--rows", "keys.parquet", "--responses", "responses.jsonl", "--json", at=tmp_path, package=copied)
    )
    assert {name: m["mean"] for name, m in found["metrics"].items()} == {"exact": 0.75, "holds": 1.0}
    recipe = "name: keys\nevaluate: {benchmarks: [{name: keys, rows: keys.parquet, max_new_tokens: 4}]}\n"
    (tmp_path / "keys.yaml").write_text(recipe, encoding="utf-8")
    assert "keys" in acc("eval", "--recipe", "keys.yaml", "--dry-run", at=tmp_path, package=copied)
