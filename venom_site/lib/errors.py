"""The error family of the product: every refusal has a code and a sentence.

Services and adapters raise these; `lib/problems.py` shows them as problem+json, as a
toast or as an OpenAI error object. Views do not catch them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Storable(Protocol):
    """Words that `str()` says in the language that is active then, and that rows keep
    as a code with its values."""

    def stored(self) -> str: ...


Message = str | Promise | Storable


class VenomError(Exception):
    """Base class: `code` for programs, `message` for people, `extras` named data."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    default_message: ClassVar[Message] = _("The request could not be carried out.")

    def __init__(self, message: Message | None = None, **extras: Any) -> None:
        self.message = message if message is not None else self.default_message
        self.extras = extras
        super().__init__(str(self.message))

    def __str__(self) -> str:
        return str(self.message)

    @property
    def is_stored(self) -> bool:
        """Whether its message is a code with values rather than a sentence."""
        return not isinstance(self.message, str | Promise)

    def stored(self) -> str:
        """As a row keeps it, so that who reads it later has it in their language."""
        said = self.message
        return str(said) if isinstance(said, str | Promise) else said.stored()


class BadRequest(VenomError):
    code = "bad_request"
    http_status = 400
    default_message = _("The request cannot be understood.")


class InvalidBody(VenomError):
    code = "invalid_body"
    http_status = 422
    default_message = _("The body does not fit the schema.")


class Unauthorized(VenomError):
    code = "unauthorized"
    http_status = 401
    default_message = _("This call needs an API key or a signed-in session.")


class Forbidden(VenomError):
    code = "forbidden"
    http_status = 403
    default_message = _("You may not do this.")


class ScopeMissing(Forbidden):
    code = "scope_missing"


class OutsideProfile(Forbidden):
    code = "outside_profile"


class NotFound(VenomError):
    code = "not_found"
    http_status = 404
    default_message = _("There is nothing at this address.")


class MethodNotAllowed(VenomError):
    code = "method_not_allowed"
    http_status = 405
    default_message = _("This address does not take that method.")


class Conflict(VenomError):
    code = "conflict"
    http_status = 409
    default_message = _("This does not fit the present state.")


class OperationConflict(Conflict):
    """Something else holds the target; `operation_id` names it."""

    code = "operation_conflict"


class ModelNotInstalled(Conflict):
    code = "model_not_installed"


class ModelActive(Conflict):
    """It answers requests now: another one must become active first."""

    code = "model_active"


class ModelPinned(Conflict):
    code = "model_pinned"


class DoesNotFit(Conflict):
    """`limit` is `quota`, `disk` or `memory`; `needed_bytes`, `free_bytes` say it."""

    code = "does_not_fit"


class ConfirmRequired(Conflict):
    """Too large to start without a word; `size_bytes` says how large."""

    code = "confirm_required"


class IncompatibleRuntime(Conflict):
    code = "incompatible_runtime"


class AmbiguousName(Conflict):
    """The name is held from several providers; `providers` lists them."""

    code = "ambiguous_name"


class SeveralRevisions(Conflict):
    """The name has several revisions and one must be meant; `revisions` lists them."""

    code = "several_revisions"


class ForeignFolder(Conflict):
    """The model lies where we never write; `path` and `owner` say whose it is."""

    code = "foreign_folder"


class PayloadTooLarge(VenomError):
    code = "payload_too_large"
    http_status = 413
    default_message = _("The body is larger than this address accepts.")


class TooManyRequests(VenomError):
    """`retry_after` in seconds travels as the Retry-After header."""

    code = "too_many_requests"
    http_status = 429
    default_message = _("Too many attempts. Wait and try again.")


class UpstreamFailed(VenomError):
    code = "upstream_failed"
    http_status = 502
    default_message = _("The server behind this answered with an error.")


class NotReady(VenomError):
    code = "not_ready"
    http_status = 503
    default_message = _("Venom is not ready to answer this.")


class DatabaseAway(NotReady):
    code = "database_unavailable"
    default_message = _("The database does not answer. Nothing was changed; try again.")


class WireError(Exception):
    """A neighbour failed. `permanent` says whether asking again could help.

    `reason_code` is one of docs/api.md: OFFLINE, FALLBACK_TIMEOUT, AUTH_ERROR,
    RATE_LIMIT, MODEL_NOT_FOUND, DEGRADED. Raised only by `venom_site/clients`.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        status: int | None = None,
        reason_code: str = "DEGRADED",
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.status = status
        self.reason_code = reason_code
