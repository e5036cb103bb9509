"""The wire to a Hugging Face Hub: lists, models, small files and who may have them.

Used by the providers and catalogues of models_app. Each call ends within 15 s, the
look-up of the host's name included, and is made once: who asks again is the caller's
matter. Every failure is a `WireError`; `HubRefused` where the Hub said no.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import parse_qs, quote, urlsplit

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from venom_site.clients import huggingface_answers as answers
from venom_site.clients import huggingface_wire as wire
from venom_site.clients.huggingface_answers import (
    HubFile,
    HubModel,
    HubPage,
    HubRepo,
)
from venom_site.clients.huggingface_errors import HubRefused, HubUnreadable
from venom_site.lib import http
from venom_site.lib.http_answers import MAX_ANSWER_BYTES

__all__ = [
    "HubClient",
    "HubFile",
    "HubModel",
    "HubPage",
    "HubRefused",
    "HubRepo",
    "HubUnreadable",
]

TOTAL_SECONDS = 15.0
SORTS = ("trendingScore", "downloads", "likes", "lastModified", "createdAt")
LONGEST_LIST = 1000  # what the Hub gives at most
EXPANDED = (
    *("createdAt", "downloads", "gated", "gguf", "lastModified", "library_name"),
    *("likes", "pipeline_tag", "private", "safetensors", "tags", "trendingScore"),
)


class HubClient:
    """One endpoint and one token; kept between calls, safe from several threads."""

    def __init__(self, endpoint: str, token: str = "") -> None:
        self.endpoint = endpoint.rstrip("/")
        self._token = token

    def headers(self) -> dict[str, str]:
        """Who asks, and `Authorization` when there is a token."""
        if self._token and not (self._token.isascii() and self._token.isprintable()):
            raise HubRefused("The token holds characters of no token.", case="token")
        return wire.headers_of(self._token)

    def has_token(self) -> bool:
        return bool(self._token)

    def list_models(
        self,
        *,
        search: str = "",
        author: str = "",
        filters: Sequence[str] = (),
        app: str = "",
        sort: str = "trendingScore",
        limit: int = 20,
        cursor: str = "",
    ) -> HubPage:
        """One page. `filters` are tags, all of which must fit; `app` a program that
        runs the models (`vllm`). `sort` is one of SORTS, the most first."""
        if sort not in SORTS:
            raise ValueError(f"{sort!r} is none of {', '.join(SORTS)}.")
        told: dict[str, str | int | Sequence[str]] = {
            "sort": sort,
            "limit": max(1, min(limit, LONGEST_LIST)),
            "expand": EXPANDED,
        }
        wished = {"search": search, "author": author, "apps": app, "cursor": cursor}
        told |= {name: value for name, value in wished.items() if value}
        if filters:
            told["filter"] = tuple(filters)
        answer = self._ask(f"{self.endpoint}/api/models", params=told)
        return HubPage(
            items=answers.models_in(answer.body)[:limit],
            next_cursor=_cursor_in(answer.next_url),
        )

    def model(
        self, repo: str, revision: str = "", *, total_seconds: float = TOTAL_SECONDS
    ) -> HubRepo:
        """A model at a branch, tag or commit with all its files, in one call."""
        url = self._api(repo)
        if revision:
            url += f"/revision/{_revision(revision)}"
        answer = self._ask(url, params={"blobs": "true"}, total_seconds=total_seconds)
        return answers.repo_in(answer.body)

    def read_file(
        self,
        repo: str,
        revision: str,
        path: str,
        *,
        limit_bytes: int,
        total_seconds: float = TOTAL_SECONDS,
    ) -> bytes:
        """A small file, whole; raises `HubUnreadable` when it is larger."""
        _check_repo(repo)
        _revision(revision)
        if not _is_inside(path):
            raise HubRefused("A path like that is in no model.", case="file")
        answer = self._ask(
            self.file_url(repo, revision, path),
            limit_bytes=limit_bytes,
            may_leave=True,
            total_seconds=total_seconds,
        )
        return answer.body

    def check_access(self, repo: str, *, total_seconds: float = TOTAL_SECONDS) -> None:
        """Raises `HubRefused` when we may not have the files of this model."""
        self._ask(f"{self._api(repo)}/auth-check", total_seconds=total_seconds)

    def file_url(self, repo: str, commit: str, path: str) -> str:
        """Where a file's bytes are; the answer there may be a signed redirect."""
        where = f"{quote(commit, safe='')}/{quote(path)}"
        return f"{self.endpoint}/{repo}/resolve/{where}"

    def page_url(self, repo: str) -> str:
        """The model's page for people."""
        return f"{self.endpoint}/{repo}"

    def _api(self, repo: str) -> str:
        _check_repo(repo)
        return f"{self.endpoint}/api/models/{repo}"

    def _ask(
        self,
        url: str,
        *,
        params: wire.Params | None = None,
        limit_bytes: int = MAX_ANSWER_BYTES,
        may_leave: bool = False,
        total_seconds: float = TOTAL_SECONDS,
    ) -> wire.Answer:
        headers = self.headers()
        ends = time.monotonic() + total_seconds

        def call() -> wire.Answer:
            return wire.get(
                url,
                headers=headers,
                params=params,
                limit_bytes=limit_bytes,
                ends=ends,
                may_leave=may_leave,
            )

        return http.within(total_seconds, url, call)


def _check_repo(repo: str) -> None:
    try:
        validate_repo_id(repo)
    except HFValidationError:
        raise HubRefused(
            "A model of the Hub is called name or owner/name: ASCII letters, digits, "
            "- _ and ., at most 96 each, without -- or ..",
            case="missing",
        ) from None


def _revision(revision: str) -> str:
    if revision in {"", ".", ".."}:
        raise HubRefused("There is no revision of this name.", case="revision")
    return quote(revision, safe="")


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return path.isprintable() and not {"", ".", ".."} & set(parts)


def _cursor_in(next_url: str) -> str:
    """Only the cursor is taken from the Link header: whom we ask is configured."""
    return next(iter(parse_qs(urlsplit(next_url).query).get("cursor", [])), "")
