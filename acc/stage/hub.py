"""Parquet data sets of the hub: the files of one commit, from the hub or its cache."""

from __future__ import annotations

from pathlib import Path

from acc.errors import UserError


def snapshot(dataset: str, revision: str, files: str = "**/*.parquet") -> tuple[str, list[Path]]:
    """The files of a data set that match a glob, downloaded where the hub's cache lacks them.

    What is cached is used without the hub where it cannot be reached or HF_HUB_OFFLINE is set.

    Args:
        dataset: hub id.
        revision: commit, tag or branch.
        files: glob over the paths in the repository; `**/` is any number of folders, none too.

    Returns:
        (commit, files in the order of their paths).

    Raises:
        UserError: there is no such data set, revision or file, or the hub can't be reached and the cache lacks it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of its HTTP library, whichever that is

    where = f"{dataset}@{revision}"
    try:
        # The hub's patterns let * cross folders: this one asks for all that the glob does, and maybe more.
        folder = Path(
            snapshot_download(dataset, repo_type="dataset", revision=revision, allow_patterns=files.replace("**/", "*"))
        )
    except (OSError, ValueError, HTTPError) as e:
        raise UserError(_sentence(e), where=where, mend=_mend(e)) from e
    found = sorted(p for p in folder.glob(files) if p.is_file())
    if not found:
        mend = "Correct `files`; offline, download the data set once where there is a network"
        raise UserError(f"no file there is like {files}", where=where, mend=mend)
    return folder.name, found


def _sentence(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):  # huggingface_hub's LocalEntryNotFoundError and what is derived from it
        return "the hub can't be reached, and its cache here does not hold all of the data set's files"
    said = " ".join(str(error).split()).rstrip(".")
    return f"the hub does not give the data set ({type(error).__name__}{f': {said}' if said else ''})"


def _mend(error: Exception) -> str:
    name = type(error).__name__
    if name == "GatedRepoError":
        return "Accept its terms on the hub and log in with `hf auth login`"
    if name in ("RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"):
        return "Correct its name or revision"
    return "Go online once (without HF_HUB_OFFLINE), copy the hub's cache here (HF_HOME), or give its Parquet files as `rows`"
