"""Peak memory of a training step against the length of its row: it grows with the tokens, not with their square.

Each length is trained in a process of its own, with eight documents a row and with one. Beside it stands what a tensor of
sequence × sequence or sequence × vocabulary would have taken.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

LENGTHS = (4096, 8192, 16384, 32768)
VOCABULARY, HEADS = 8192, 4
MOST = 1.3
"""Memory a token between the two longest rows may be so many times that between the shortest and the third, at most. Were a
matrix over positions of any use in it, it would be 2.4 times."""
SLACK = 64.0
"""Bytes a token by which two slopes may differ for the allocator's sake alone."""


def prove() -> bool:
    """Print peak memory against length; say whether it grows linearly."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from proofs.measured import measure
    from proofs.small_training import make_pack, make_student, uneven

    print("  peak memory of a step above the loaded model's, MB, beside what one matrix of each kind would have taken")
    print(f"  (mask: a byte a pair; scores: {HEADS} heads in float32; logits: {VOCABULARY:,} words in float32)")
    print("  documents   tokens   peak  bytes a token      mask    scores    logits")
    held = True
    with tempfile.TemporaryDirectory() as name:
        student = make_student(Path(name) / "student", vocabulary=VOCABULARY, num_hidden_layers=2)
        for documents in (8, 1):
            peaks = []
            for length in LENGTHS:
                folder = Path(name) / f"{documents}-{length}"
                row = [(n, n // 100) for n in uneven(length, documents)]
                make_pack(folder / "pack", [row] * 2, vocabulary=VOCABULARY)
                (folder / "student").symlink_to(student)
                (cost,) = measure(folder, threads=2)
                peaks.append(cost.above)
                others = (length**2, HEADS * 4 * length**2, 4 * length * VOCABULARY)
                shown = "".join(f"{n / 1e6:10,.0f}" for n in others)
                print(f"  {documents:9} {length:8,} {cost.above / 1e6:6,.0f} {cost.above / length:14,.0f}{shown}", flush=True)
            held &= grows_linearly(documents, dict(zip(LENGTHS, peaks, strict=True)))
    return held


def grows_linearly(documents: int, peaks: dict[int, int]) -> bool:
    """Compare the slopes at both ends, print them, and say whether they are alike. `peaks`: tokens → bytes."""
    (n1, first), _, (n3, third), (n4, last) = sorted(peaks.items())
    begin, end = (third - first) / (n3 - n1), (last - third) / (n4 - n3)
    good = end <= MOST * begin + SLACK
    more = f"{begin:,.0f} bytes for each further token from {n1:,} to {n3:,}, {end:,.0f} from {n3:,} to {n4:,}"
    print(f"  {documents} a row: {more}: {end / begin:.2f} ×, at most {MOST} ×{'' if good else '  DOES NOT HOLD'}", flush=True)
    return good
