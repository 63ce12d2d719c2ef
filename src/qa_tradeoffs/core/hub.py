"""The Hugging Face Hub: fetch what a study names at its revision, upload what changed, and explain failures.

The library's own variables apply: HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE, HF_TOKEN. The token is never read here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
from huggingface_hub import constants, errors
from huggingface_hub.utils import logging, tqdm, validate_repo_id

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.progress import counter

# The library warns at each retry and if nobody is logged in; real failures become StudyErrors.
logging.set_verbosity_error()

_RESUME = "run the same command again to resume"


def fetch(name: str, revision: str, files: list[str], kind: Literal["model", "dataset"] = "model") -> Path:
    """The folder in the Hub's own cache with the ``files`` (patterns) of a repository at ``revision``.

    An interrupted download is resumed, and files that are complete are not fetched again.
    The folder is named after the commit hash. Raises StudyError with the reason if it cannot be fetched.
    """
    bar = _progress_bar(f"fetching {name}, MB")
    try:
        folder = huggingface_hub.snapshot_download(
            name, repo_type=kind, revision=revision, allow_patterns=files, tqdm_class=bar
        )
    except Exception as error:  # some ten types: not found, gated, offline, connection lost, disk full
        key, path = ("models", name) if kind == "model" else ("data", f"datasets/{name}")
        raise StudyError(f"{key}: {name} at {revision} {_why(error, path, 'fetched')}") from None
    return Path(folder)


def upload(name: str, files: Mapping[str, bytes], message: str) -> bool:
    """Upload these files to a model repository; False if it had them already, in which case no commit is made.

    ``files`` are contents by name. A missing repository is created as a private one. The library sends only what
    differs. Raises StudyError.
    """
    if huggingface_hub.get_token() is None:
        raise StudyError(f"{name}: not logged in to {constants.ENDPOINT}; run `hf auth login`, or set HF_TOKEN")
    api = huggingface_hub.HfApi()
    try:
        api.create_repo(name, private=True, exist_ok=True)
        before = api.repo_info(name).sha
        additions = [huggingface_hub.CommitOperationAdd(path, content) for path, content in files.items()]
        commit = api.create_commit(name, additions, commit_message=message)
    except Exception as error:  # as in fetch
        raise StudyError(f"{name} {_why(error, name, 'uploaded')}") from None
    return bool(commit.oid != before)


def check_name(name: str) -> None:
    """Refuse an invalid repository name. Raises StudyError."""
    try:
        validate_repo_id(name)
    except errors.HFValidationError as error:
        raise StudyError(f"'{name}' is not a repository name ({one_line(error)}); rename the study file") from None


def _why(error: BaseException, path: str, done: str) -> str:
    """Why something could not be ``done`` at ``path`` of the Hub, and what to do; to follow the name in a sentence."""
    causes = list(_causes(error))
    for kind, sentence in (
        (errors.OfflineModeIsEnabled, "is not in the cache {home}; unset HF_HUB_OFFLINE, which forbids fetching it"),
        (errors.GatedRepoError, "is gated; request access at {page} and log in with `hf auth login`"),
        (errors.RevisionNotFoundError, "does not exist, though {page} does; give a commit hash, branch or tag of it"),
        (errors.RepositoryNotFoundError, "is private or not on the Hub; check the name, or run `hf auth login`"),
        (errors.HFValidationError, "is not a repository name; give owner/name"),
    ):  # fmt: skip
        if any(isinstance(cause, kind) for cause in causes):
            return sentence.format(home=constants.HF_HUB_CACHE, page=f"{constants.ENDPOINT}/{path}")
    status = next((cause.response.status_code for cause in causes if isinstance(cause, errors.HfHubHTTPError)), None)
    if status == 401:
        return f"could not be {done}: the Hub does not accept this token; log in again with `hf auth login --force`"
    if status == 403:
        return (
            f"could not be {done}: this login may not do that; use a token with access to {constants.ENDPOINT}/{path}"
        )
    if status is not None and (status == 429 or status >= 500):
        return f"could not be {done}: the Hub is busy or out of service (HTTP {status}); {_RESUME}"
    return (
        f"could not be {done} ({one_line(causes[-1])}); check the network, the space left on the disk, and HF_ENDPOINT "
        f"({constants.ENDPOINT}); {_RESUME}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and the errors that caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _progress_bar(label: str) -> type[tqdm]:
    """A bar class for huggingface_hub that draws nothing and reports the MB received as our own progress."""
    report = counter(label)

    class ProgressBar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options | {"disable": True})
            # Of the library's bars, only 'Reconstructing' counts bytes written, whatever the transport.
            self._counts = str(options.get("desc", "")).startswith("Reconstructing")

        def update(self, n: float | None = 1) -> None:
            with self.get_lock():  # files are fetched in parallel
                self.n += n or 0
                if self._counts:
                    report(round(self.n / 1e6), max(round((self.total or 0) / 1e6), 1))

    return ProgressBar
