"""How the hub says no, and what stands in the headers of every answer of it.

Facts sheet, sections 2 and 3. The code travels in `X-Error-Code`: over http:// the real
client takes a bare 401 or 404 for something else.
"""

from aiohttp import web

from tests.fakes.huggingface_state import HubState
from tests.fakes.neighbour import CONTROL, Refusal

QUOTAS = {"api": 500, "resolvers": 3000, "pages": 100}


class HubRefusal(Refusal):
    """`kind` is the X-Error-Code; `commit` stands beside a file that is missing."""

    def __init__(
        self, status: int, message: str, code: str = "", *, commit: str = ""
    ) -> None:
        super().__init__(status, message, kind=code)
        self.commit = commit


def no_repo(token: str) -> HubRefusal:
    """Private and missing ones look the same, and only to strangers like a 401."""
    status = 404 if token else 401
    message = "Repository not found" if token else "Invalid username or password."
    return HubRefusal(status, message, "RepoNotFound")


def is_gated(repo: str, token: str) -> HubRefusal:
    if not token:
        message = f"Access to model {repo} is restricted. You must have access to it "
        return HubRefusal(401, message + "and be authenticated.", "GatedRepo")
    message = f"Access to model {repo} is restricted and you are not in the authorized "
    return HubRefusal(403, message + "list.", "GatedRepo")


def is_disabled() -> HubRefusal:
    return HubRefusal(403, "Access to this resource is disabled.")


def bad_token() -> HubRefusal:
    return HubRefusal(401, "Invalid credentials in Authorization header")


def no_revision(revision: str) -> HubRefusal:
    return HubRefusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def no_file(commit: str) -> HubRefusal:
    return HubRefusal(404, "Entry not found", "EntryNotFound", commit=commit)


class HubDialect:
    """The refusals of the hub."""

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        headers = {"X-Error-Message": refusal.message}
        if refusal.kind:
            headers["X-Error-Code"] = refusal.kind
        if commit := getattr(refusal, "commit", ""):
            headers["X-Repo-Commit"] = commit
        error = {"error": refusal.message}
        return web.json_response(error, status=refusal.status, headers=headers)

    def fault(self, request: web.Request, status: int, model: str) -> web.Response:
        answer = self.refuse(request, Refusal(status, f"practice fault {status}"))
        if status == 429:
            answer.headers["RateLimit"] = f'"{bucket_of(request)}";r=0;t=242'
        return answer

    def not_found(self, request: web.Request) -> web.Response:
        return web.Response(status=404, text="Not Found")

    def wrong_method(self, request: web.Request) -> web.Response:
        return self.refuse(request, Refusal(405, "Method not allowed"))


def bucket_of(request: web.Request) -> str:
    if request.path.startswith("/api/"):
        return "api"
    return "resolvers" if "/resolve/" in request.path else "pages"


def add_rate_limits(app: web.Application, state: HubState) -> None:
    """Headers on every answer of the hub itself, and the 429 once none is left."""

    async def tell(request: web.Request, answer: web.StreamResponse) -> None:
        if request.path.startswith((CONTROL, "/signed/")):
            return
        bucket = bucket_of(request)
        quota = state.api_quota if bucket == "api" else QUOTAS[bucket]
        left = state.remaining if bucket == "api" else quota
        headers = answer.headers
        headers.setdefault("RateLimit", f'"{bucket}";r={left};t={state.reset_seconds}')
        policy = f'"fixed window";"{bucket}";q={quota};w={state.window_seconds:.0f}'
        headers.setdefault("RateLimit-Policy", policy)

    app.on_response_prepare.append(tell)


def spend(state: HubState) -> None:
    """One call of the API; raises the 429 of a window that is used up."""
    if not state.spend():
        raise HubRefusal(429, "We had to rate limit you.")
