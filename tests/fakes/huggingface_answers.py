"""The handlers of the practice hub: lists, models, trees, who one is, files."""

import base64
import re
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.fakes import huggingface_shapes as shapes
from tests.fakes.files import answer_file
from tests.fakes.huggingface_models import PracticeFile, PracticeRepo
from tests.fakes.huggingface_state import HubState
from tests.fakes.huggingface_wire import (
    HubRefusal,
    bad_token,
    is_disabled,
    is_gated,
    no_file,
    no_repo,
    no_revision,
    spend,
)

_REPO = r"(?P<repo>[^/]+(?:/[^/]+)??)"
MODEL = re.compile(
    rf"/api/models/{_REPO}(?:/(?P<verb>revision|tree|auth-check)"
    r"(?:/(?P<revision>[^/]+)(?:/(?P<path>.+))?)?)?"
)
FILE = re.compile(rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
CACHED = re.compile(
    rf"/api/resolve-cache/models/{_REPO}/(?P<revision>[0-9a-f]{{40}})/(?P<path>.+)"
)
SORTS = {
    "trendingScore": lambda repo: repo.trending,
    "downloads": lambda repo: repo.downloads,
    "likes": lambda repo: repo.likes,
    "lastModified": lambda repo: repo.modified_at,
    "createdAt": lambda repo: repo.created_at,
}


class Hub:
    """Handlers over one state."""

    def __init__(self, state: HubState) -> None:
        self.state = state

    async def models(self, request: web.Request) -> web.Response:
        token = self._token(request)
        spend(self.state)
        asked = request.query
        found = [repo for repo in self.state.shelf if self.state.may_read(repo, token)]
        found = [repo for repo in found if _fits(repo, asked)]
        if (sort := asked.get("sort", "trendingScore")) not in SORTS:
            raise HubRefusal(400, f'"sort" must be one of {", ".join(SORTS)}')
        found.sort(key=SORTS[sort], reverse=True)
        fields = _fields(asked)
        limit = min(_whole(asked.get("limit", "1000")), self.state.page_size)
        entries = [shapes.model_entry(repo, fields) for repo in found]
        return _page(request, entries, limit)

    async def model(self, request: web.Request) -> web.Response:
        """`/api/models/{id}` and what stands below it."""
        place = _place(MODEL, request)
        token = self._token(request)
        spend(self.state)
        repo = self._repo(request, place["repo"], token)
        if place["verb"] == "auth-check":
            self._refuse_fetching(repo, token)
            return web.json_response({"ok": True})
        commit = _commit(repo, place["revision"] or "main")
        if place["verb"] == "tree":
            return self._tree(request, repo, commit, place["path"])
        expanded = _words(request.query, "expand")
        blobs = request.query.get("blobs") in ("true", "True", "1")
        entry = shapes.model_entry(
            repo, expanded or shapes.DETAILS, commit=commit, with_sizes=blobs
        )
        return web.json_response(entry)

    def _tree(
        self, request: web.Request, repo: PracticeRepo, commit: str, under: str
    ) -> web.Response:
        recursive = request.query.get("recursive") in ("true", "True", "1")
        files = repo.history[commit].values()
        entries = shapes.tree_entries(files, under, recursive=recursive)
        if under and not entries:
            raise no_file(commit)
        answer = _page(request, entries, self.state.page_size)
        answer.headers["X-Repo-Commit"] = commit
        return answer

    async def whoami(self, request: web.Request) -> web.Response:
        if not self._token(request):
            raise bad_token()
        key = {"displayName": "practice", "role": "read"}
        return web.json_response(
            {
                "type": "user",
                "id": shapes.id_of("nobody"),
                "name": "nobody",
                "fullname": "Nobody at all",
                "email": "nobody@example.org",
                "orgs": [],
                "auth": {"type": "access_token", "accessToken": key},
            }
        )

    async def file(self, request: web.Request) -> web.StreamResponse:
        place = _place(FILE, request)
        token = self._token(request)
        repo = self._repo(request, place["repo"], token)
        self._refuse_fetching(repo, token)
        commit = _commit(repo, place["revision"])
        file = repo.history[commit].get(place["path"])
        if file is None:
            raise no_file(commit)
        if self.state.has_small_redirects and not file.is_big:
            where = f"/api/resolve-cache/models/{repo.id}/{commit}/{file.path}"
            headers = {"Location": where, "X-Repo-Commit": commit}
            return web.Response(status=307, headers=headers)
        return await self._send(request, repo, commit, file)

    async def cached_file(self, request: web.Request) -> web.StreamResponse:
        place = _place(CACHED, request)
        repo = self._repo(request, place["repo"], self._token(request))
        commit = _commit(repo, place["revision"])
        return await self._send(
            request, repo, commit, repo.history[commit][place["path"]]
        )

    async def _send(
        self, request: web.Request, repo: PracticeRepo, commit: str, file: PracticeFile
    ) -> web.StreamResponse:
        desk = self.state.desk
        # Another name for this machine is another origin, and counts as one.
        other = f"http://localhost:{request.url.port}"
        desk.signed_base = other if self.state.has_two_origins else ""
        return await answer_file(
            request,
            file.content,
            desk=desk,
            path=f"{repo.id}/{file.path}",
            etag=file.sha256 if file.is_big else file.git_sha1,
            sha256=file.sha256 if file.is_big else "",
            headers={"X-Repo-Commit": commit},
        )

    def _token(self, request: web.Request) -> str:
        """The bearer's token; a wrong one is refused even for what is public."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given != self.state.token:
            raise bad_token()
        return given

    def _repo(self, request: web.Request, name: str, token: str) -> PracticeRepo:
        repo = self.state.shelf.find(name)
        if repo is None and name in self.state.shelf.moved:
            to = self.state.shelf.moved[name]
            raise web.HTTPTemporaryRedirect(request.path_qs.replace(name, to, 1))
        if repo is None or not self.state.may_read(repo, token):
            raise no_repo(token)
        if repo.is_disabled:
            raise is_disabled()
        return repo

    def _refuse_fetching(self, repo: PracticeRepo, token: str) -> None:
        if not self.state.may_fetch(repo, token):
            raise is_gated(repo.id, token)


def _place(pattern: re.Pattern[str], request: web.Request) -> dict[str, str]:
    found = pattern.fullmatch(request.rel_url.raw_path)
    if found is None:
        raise web.HTTPNotFound
    parts = found.groupdict()
    return {name: unquote(part or "") for name, part in parts.items()}


def _commit(repo: PracticeRepo, revision: str) -> str:
    commit = repo.resolve(revision)
    if not commit:
        raise no_revision(revision)
    return commit


def _fits(repo: PracticeRepo, asked: Any) -> bool:
    tags = set(repo.all_tags)
    wanted = {*_words(asked, "filter"), *_words(asked, "pipeline_tag")}
    is_weighty = "safetensors" in tags and repo.pipeline_tag == "text-generation"
    apps = {"vllm": is_weighty, "ollama": "gguf" in tags}
    gated = asked.get("gated")
    return (
        asked.get("search", "").lower() in repo.id.lower()
        and asked.get("author", repo.id.partition("/")[0]) == repo.id.partition("/")[0]
        and wanted <= tags
        and all(apps.get(app, False) for app in _words(asked, "apps"))
        and (gated is None or (gated == "true") == bool(repo.gated))
    )


def _fields(asked: Any) -> tuple[str, ...]:
    expanded = _words(asked, "expand")
    if unknown := [name for name in expanded if name not in shapes.EXPANDABLE]:
        raise HubRefusal(400, f'"expand" may not be {unknown[0]}')
    if expanded:
        return tuple(expanded)
    return shapes.FULL if asked.get("full") in ("true", "True") else shapes.DEFAULT


def _words(asked: Any, name: str) -> list[str]:
    return [*asked.getall(name, []), *asked.getall(f"{name}[]", [])]


def _whole(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise HubRefusal(400, '"limit" must be a positive number')
    return int(text)


def _page(request: web.Request, entries: list[Any], limit: int) -> web.Response:
    """One page and, where more follows, its absolute address in `Link`."""
    try:
        start = int(base64.urlsafe_b64decode(request.query.get("cursor", "MA==")))
    except ValueError:
        raise HubRefusal(400, "Invalid cursor") from None
    answer = web.json_response(entries[start : start + limit])
    if start + limit < len(entries):
        cursor = base64.urlsafe_b64encode(str(start + limit).encode()).decode()
        following = request.url.update_query(cursor=cursor)
        answer.headers["Link"] = f'<{following}>; rel="next"'
    return answer
