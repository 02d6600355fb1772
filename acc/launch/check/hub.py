"""The hub: what of it is in this machine's cache, and whether it has a repository. Asked once each, and never offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Kind = Literal["model", "dataset"]
State = Literal["cached", "there", "absent", "gated", "unreachable", "offline"]
"""cached: some of it is in the cache; absent: no such repository or revision, or a private one; unreachable: no answer;
offline: not in the cache, and not asked."""

TIMEOUT_S = 5.0


class Hub:
    """The hub as seen from here.

    Args:
        offline: look into the cache alone.
    """

    def __init__(self, environment: Mapping[str, str], *, offline: bool) -> None:
        self.offline = offline or environment.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
        self._reachable = True
        self._asked: dict[tuple[Kind, str, str | None], State] = {}

    def state(self, kind: Kind, name: str, revision: str | None = None) -> State:
        """What is known of a repository, at a revision."""
        key = kind, name, revision
        if key not in self._asked:
            self._asked[key] = self._state(kind, name, revision)
        return self._asked[key]

    def cached(self, kind: Kind, name: str, revision: str | None = None) -> Path | None:
        """The folder of the newest snapshot in the cache, or of a revision; None where there is none."""
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=kind)
        reference = folder / "refs" / (revision or "main")
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision or ""
        found = folder / "snapshots" / commit
        return found if commit and found.is_dir() else None

    def file(self, name: str, revision: str | None, file: str) -> Path | None:
        """One file of a model: from the cache, else from the hub where it answers; None where neither has it."""
        snapshot = self.cached("model", name, revision)
        if snapshot is not None and (snapshot / file).is_file():
            return snapshot / file
        if not self._answers(name, revision):
            return None
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of its HTTP library, whichever that is

        try:
            return Path(hf_hub_download(name, file, revision=revision, etag_timeout=TIMEOUT_S))
        except (OSError, ValueError, HTTPError):
            return None

    def _answers(self, name: str, revision: str | None) -> bool:
        """Whether the hub has a model and says so now: a download of what it does not have is tried for a minute."""
        state = self.state("model", name, revision)
        if state == "cached" and not self.offline and self._reachable:
            state = self._ask("model", name, revision)
        return state == "there"

    def _state(self, kind: Kind, name: str, revision: str | None) -> State:
        if self.cached(kind, name, revision) is not None:
            return "cached"
        if self.offline:
            return "offline"
        return self._ask(kind, name, revision) if self._reachable else "unreachable"

    def _ask(self, kind: Kind, name: str, revision: str | None) -> State:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import (  # type: ignore[attr-defined]
            GatedRepoError,
            HFValidationError,
            HTTPError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        try:
            HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=TIMEOUT_S)
        except GatedRepoError:
            return "gated"
        except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
            return "absent"
        except (OSError, ValueError, HTTPError):
            self._reachable = False
            return "unreachable"
        return "there"
