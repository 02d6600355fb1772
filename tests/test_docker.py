"""The images: pinned, without root, with a health command, and named after what is there."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
PROOF = runpy.run_path(str(ROOT / "scripts" / "proofs" / "dockerfile.py"))
parse, stages = PROOF["parse"], PROOF["stages"]


@pytest.fixture(params=FILES, ids=lambda p: p.stem)
def last(request: pytest.FixtureRequest) -> list[Any]:
    """The instructions of an image's last stage."""
    return stages(parse(request.param.read_text(encoding="utf-8")))[-1]


@pytest.fixture(params=FILES, ids=lambda p: p.stem)
def steps(request: pytest.FixtureRequest) -> list[Any]:
    """All instructions of an image."""
    return parse(request.param.read_text(encoding="utf-8"))


def test_every_base_has_a_full_tag(steps: list[Any]) -> None:
    bases = [s.rest.split()[0] for s in steps if s.word == "FROM"]
    assert bases and all(re.search(r":v?\d+\.\d+\.\d+", base) for base in bases), bases


def test_it_runs_without_roots_rights_and_says_whether_it_is_well(last: list[Any]) -> None:
    said = {step.word: step.rest for step in last}
    assert said["USER"].isdigit() and int(said["USER"]) > 0
    assert re.search(r'CMD \[".+"\]$', said["HEALTHCHECK"])


def test_every_package_has_its_version(steps: list[Any]) -> None:
    for line in (s.rest for s in steps if s.word == "RUN"):
        for install in re.findall(r"pip install [^&]*", line):
            ours = install.split()[-1] == "."
            assert "-c constraints.txt" in install or (ours and "--no-deps" in install), install
            assert "--no-cache-dir" in install


def test_what_is_copied_is_there(steps: list[Any]) -> None:
    for words in (s.rest.split()[:-1] for s in steps if s.word == "COPY"):
        if not words[0].startswith("--from="):
            assert all((ROOT / word).exists() for word in words), words


def test_deepspeed_has_the_operators_that_are_compiled_in_the_gpu_image() -> None:
    text = (ROOT / "docker" / "gpu.Dockerfile").read_text(encoding="utf-8")
    found = importlib.util.find_spec("deepspeed")
    assert found is not None and found.origin is not None
    builders = (Path(found.origin).parent / "ops" / "op_builder").rglob("*.py")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in builders)
    asked = set(re.findall(r"DS_BUILD_\w+(?==1)", text))
    assert asked and all(f'BUILD_VAR = "{name}"' in sources for name in asked)


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if program is None:
        pytest.skip("hadolint is not installed; scripts/docker_check lint fetches it")
    command = [program, "-c", "docker/.hadolint.yaml", *map(str, FILES)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_lines_that_go_on_are_one_instruction_and_comments_are_none() -> None:
    found = parse("# a\nFROM x:1.2.3 AS a\n\nRUN a \\\n# between\n && b\nUSER 5\n")
    assert [(s.word, s.rest, s.line) for s in found] == [
        ("FROM", "x:1.2.3 AS a", 2),
        ("RUN", "a  && b", 4),
        ("USER", "5", 7),
    ]
