"""Length bins of the benchmarks, by tokens of o200k_base as their authors count.

MRCR's bins are official: tokens of the messages' contents and of the answer together, [4096, 8192], then (8192, 16384] … up to
1,048,576. GraphWalks has none (its authors give `prompt_chars` and two files): its rows are counted alike, the prompt and the
answer's nodes as they are written in a response, which is ours. Rows shorter or longer than the official bins get bins of the
same kind: 4096 for all below 4,096 tokens, further powers of two above; these are ours too.

tiktoken's ranks of o200k_base are a file of 3.6 MB that it downloads. Where they can't be had a bin is None.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from acc.evaluate import mrcr
from acc.stage.files import whole

if TYPE_CHECKING:
    from tiktoken import Encoding

FIRST, LAST = 8_192, 1_048_576
"""Right ends of the first and the last official bin, tokens."""

URL = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""The ranks: where they are, and the SHA-256 of the file."""
CACHED_AS = hashlib.sha1(URL.encode()).hexdigest()
"""Name of the file in tiktoken's cache."""
MEND = f"Set TIKTOKEN_CACHE_DIR to a folder that holds {URL} under the name {CACHED_AS} (sha256 {SHA256})"
TIMEOUT_S = 20.0
"""Longest wait for the server of the ranks, s; tiktoken itself would wait for ever."""

BIN = "bin_o200k"
"""Key under which `acc.evaluate.benchmarks.rows_of` leaves a row's bin."""


def o200k_bin(row: dict[str, Any]) -> int | None:
    """The right end of a row's length bin, tokens of o200k_base; None where the ranks can't be had."""
    if BIN in row:
        found: int | None = row[BIN]
        return found
    encoding = o200k()
    return None if encoding is None else bin_of(tokens_of(row, encoding))


def bin_of(tokens: int) -> int:
    """The right end of the bin of so many tokens."""
    if tokens < FIRST // 2:
        return FIRST // 2
    return max(FIRST, 1 << (tokens - 1).bit_length())


def tokens_of(row: dict[str, Any], encoding: Encoding) -> int:
    """Tokens of a row's prompt and answer together.

    Args:
        row: with the columns `prompt` and `answer` (MRCR) or `answer_nodes` (GraphWalks).

    Raises:
        UserError: MRCR's prompt is not a JSON list of messages.
    """
    if "answer_nodes" in row:
        texts = [row["prompt"], f"Final Answer: [{', '.join(row['answer_nodes'] or [])}]"]
    else:
        texts = [*(m["content"] for m in mrcr.messages(row)), row["answer"]]
    return sum(map(len, encoding.encode_ordinary_batch(texts, num_threads=min(16, os.cpu_count() or 1))))


@lru_cache(maxsize=1)
def o200k() -> Encoding | None:
    """The encoding, from tiktoken's cache or its server; None where neither has the ranks.

    The server is not asked with HF_HUB_OFFLINE set.
    """
    import tiktoken

    if not _cached():
        return None
    return tiktoken.get_encoding("o200k_base")


def _cached() -> bool:
    """Whether tiktoken will find the ranks in its cache, after a try to bring them there."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    path = Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / CACHED_AS
    try:
        if path.is_file() and _is_right(path.read_bytes()):
            return True
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            return False
        with urlopen(URL, timeout=TIMEOUT_S) as response:
            ranks = response.read()
        if not _is_right(ranks):
            return False
        with whole(path) as partial:
            partial.write_bytes(ranks)
    except OSError:  # no network, a refusal, a folder that can't be written
        return False
    return True


def _is_right(ranks: bytes) -> bool:
    return hashlib.sha256(ranks).hexdigest() == SHA256
