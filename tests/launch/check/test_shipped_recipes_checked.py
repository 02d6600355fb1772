"""Every recipe that is shipped is left in peace on a machine that could train it."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked import machine

from acc.launch.check import check_file
from acc.recipe import load_recipe

RECIPES = sorted((Path(__file__).parents[3] / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
@pytest.mark.parametrize("gpus", [0, 8], ids=["login node", "GPU node"])
def test_no_error_and_no_warning_where_nothing_is_wrong(
    path: Path, gpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (name for source in load_recipe(path).sources for name in source.paths):  # the user's logs
        Path(name).expanduser().mkdir(parents=True)
        (Path(name).expanduser() / "a.jsonl").write_text("{}\n")
    on = machine(gpus=gpus, kind="NVIDIA H100 80GB HBM3" if gpus else "")
    recipe, found = check_file(path, runs=tmp_path / "runs", offline=True, machine=on)
    assert recipe is not None
    assert not [str(f) for f in found if f.level != "note"]
