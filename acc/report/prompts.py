"""What was asked in a row: both ends of the prompt, and the gold answer.

Prompts of benchmarks reach megabytes, so their answers' lines hold both ends; those of held-out questions stand in the samples,
whose policy may keep them out of reports.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow.parquet as pq

from acc.records.sample import from_row
from acc.report.answers import Line
from acc.report.files import RunFiles

PROMPT_CHARS = 1_500
"""Characters shown at each end of a prompt."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`end` is empty where `start` is the whole prompt. Of a row that is `kept_out` nothing is shown, its answers neither."""

    start: str = ""
    end: str = ""
    gold: str = ""
    kept_out: bool = False


def asked_by_line(line: Line) -> Asked:
    """What a benchmark's line says of its row; all empty where it says nothing."""
    gold = line.get("gold")
    text = ", ".join(map(str, gold)) if isinstance(gold, list) else str(gold or "")
    return Asked(str(line.get("prompt_start") or ""), str(line.get("prompt_end") or ""), text)


def asked_of_samples(run: RunFiles, rows: Collection[str]) -> dict[str, Asked]:
    """Sample id → what was asked with all evidence. Ids that no sample has are kept out where a policy keeps any source out."""
    unknown = Asked(kept_out=bool(run.kept_out))
    found = dict.fromkeys(rows, unknown)
    if run.samples is None:
        return found
    file = pq.ParquetFile(run.samples)
    for group in range(file.num_row_groups):
        ids = file.read_row_group(group, columns=["sample_id"]).column("sample_id").to_pylist()
        wanted = [i for i, sample_id in enumerate(ids) if sample_id in found]
        if not wanted:
            continue
        # Whole rows are read for those alone.
        for row in file.read_row_group(group).take(wanted).to_pylist():
            sample = from_row(row)
            text = "\n\n".join(f"{m.get('role', '')}: {m.get('content') or ''}" for m in sample.prompt)
            rest = text[PROMPT_CHARS:]
            hidden = sample.source in run.kept_out
            end = rest if len(rest) <= PROMPT_CHARS else rest[-PROMPT_CHARS:]
            found[sample.sample_id] = (
                Asked(kept_out=True) if hidden else Asked(text[:PROMPT_CHARS], end, sample.ground_truth_answer)
            )
    return found
