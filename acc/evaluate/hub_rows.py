"""Official rows from the hub, at one commit: what the run read first is what it reads ever after.

`<out>/rows/hub.json` holds data set → {asked, commit}. A branch that moves between two checkpoints would otherwise change the
questions under the scores.
"""

from __future__ import annotations

import json
from pathlib import Path

from acc.errors import UserError
from acc.recipe.evaluation import OfficialRows
from acc.stage.files import write_json
from acc.stage.hub import snapshot

COMMITS = "hub.json"
"""Name of the record in `<out>/rows`."""


def hub_files(official: OfficialRows, out: Path) -> list[Path]:
    """The Parquet files of a data set, in the order of their paths; the commit is recorded the first time.

    Args:
        out: the folder of the evaluation.

    Raises:
        UserError: as `acc.stage.hub.snapshot`, or the record is damaged.
    """
    record = out / "rows" / COMMITS
    commits = read_commits(out)
    known = commits.get(official.dataset)
    if known is not None and known["asked"] == official.revision:
        return snapshot(official.dataset, known["commit"], official.files)[1]
    commit, files = snapshot(official.dataset, official.revision, official.files)
    write_json(record, {**commits, official.dataset: {"asked": official.revision, "commit": commit}})
    return files


def read_commits(out: Path) -> dict[str, dict[str, str]]:
    """Data set → {asked, commit}, of all that this evaluation read from the hub.

    Raises:
        UserError: the record is damaged.
    """
    record = out / "rows" / COMMITS
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return {str(name): {"asked": str(x["asked"]), "commit": str(x["commit"])} for name, x in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise UserError(
            f"this record is damaged ({e})", where=str(record), mend="Delete it; the rows are looked up anew"
        ) from e
