"""Django settings, computed from `env.py`; nothing here reads the environment."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import dj_database_url
from django.utils.translation import gettext_lazy as _

from venom_site import env as environment
from venom_site.embedded.channel_layer import runtime_folder
from venom_site.lib import logging as venom_logging
from venom_site.lib.secrets import stored_secret

try:
    ENV = environment.load()
except environment.BadEnvironment as error:
    raise SystemExit(str(error)) from None

BASE_DIR = environment.BASE_DIR
DATA_DIR = ENV.data_dir
RUN_DIR = DATA_DIR / "run"
REDIS_URL = ENV.REDIS_URL.get_secret_value()
DEBUG = ENV.VENOM_DEBUG
NODE = ENV.VENOM_NODE
RUNTIME_PROFILE = ENV.VENOM_RUNTIME_PROFILE

try:
    for folder in (DATA_DIR, RUN_DIR, DATA_DIR / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    SECRET_KEY = ENV.VENOM_SECRET_KEY.get_secret_value() or stored_secret(
        DATA_DIR / "keys" / "secret_key", secrets.token_urlsafe(50)
    )
    ENCRYPTION_KEYS = ENV.VENOM_ENCRYPTION_KEYS.get_secret_value() or stored_secret(
        DATA_DIR / "keys" / "encryption_keys",
        base64.urlsafe_b64encode(os.urandom(32)).decode(),
    )
except OSError as error:
    raise SystemExit(
        f"Venom cannot start: the data folder {DATA_DIR} cannot be used "
        f"({error.strerror}: {error.filename}). Set VENOM_DATA_DIR to a folder that "
        "this user may write to."
    ) from None

LOOPBACK_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
_given_hosts = [host.strip() for host in ENV.VENOM_ALLOWED_HOSTS.split(",") if host]
ALLOWED_HOSTS = [*LOOPBACK_HOSTS, *_given_hosts]
SIGN_IN_LINK_FROM_ANYWHERE = bool(_given_hosts)
CSRF_TRUSTED_ORIGINS = [
    origin.strip() for origin in ENV.VENOM_CSRF_TRUSTED_ORIGINS.split(",") if origin
]

INSTALLED_APPS = [
    "venom_site",
    "history_app",
    "models_app",
    "runtime_app",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
]
if "runserver" in sys.argv:  # daphne's own runserver; elsewhere Twisted is dead weight
    INSTALLED_APPS.insert(0, "daphne")

MIDDLEWARE = [
    "venom_site.middleware.RequestIdMiddleware",
    "venom_site.lib.csp.ContentSecurityPolicyMiddleware",
    "venom_site.middleware.BoundsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "venom_site.middleware.PrincipalMiddleware",
    "venom_site.middleware.ProblemMiddleware",
    "venom_site.middleware.SignInRequiredMiddleware",
    "venom_site.middleware.IdempotencyMiddleware",
]

ROOT_URLCONF = "venom_site.urls"
ASGI_APPLICATION = "venom_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "venom_site.shell.context",
            ],
        },
    }
]


def _sqlite(path: Path) -> dict[str, Any]:
    """WAL and IMMEDIATE: DEFERRED lost 36 % of read-then-write transactions to
    «database is locked» with four processes, IMMEDIATE none (measured)."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
                "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-20000;"
            ),
        },
        "TEST": {"NAME": path.with_name(f"test_{os.getpid()}.sqlite3")},
    }


def _from_url(url: str) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = {**dj_database_url.parse(url)}
    except (dj_database_url.ParseError, dj_database_url.UnknownSchemeError, ValueError):
        raise SystemExit(
            "Venom cannot start, these settings are wrong:\n"
            "  DATABASE_URL: must be postgres://… or sqlite:///…"
        ) from None
    if parsed["ENGINE"].endswith("sqlite3"):
        return _sqlite(Path(parsed["NAME"]))
    if not parsed["ENGINE"].endswith("postgresql"):
        raise SystemExit(
            "Venom cannot start: DATABASE_URL must name PostgreSQL or SQLite."
        )
    # The pool's own pauses grow for 5 minutes and would go on long after PostgreSQL is
    # back (80 s away, then 503 for more than 10 s); giving up early lets each request
    # try at once. Without tcp_user_timeout a vanished host is waited for 15 minutes.
    pool = {"min_size": 1, "max_size": 24, "timeout": 3, "reconnect_timeout": 2}
    limits = {"pool": pool, "connect_timeout": 3, "tcp_user_timeout": 5000}
    parsed["CONN_MAX_AGE"] = 0
    parsed["CONN_HEALTH_CHECKS"] = True
    parsed["OPTIONS"] = parsed.get("OPTIONS", {}) | limits
    return parsed


_database_url = ENV.DATABASE_URL.get_secret_value()
DATABASES = {
    "default": _from_url(_database_url)
    if _database_url
    else _sqlite(DATA_DIR / "venom.sqlite3")
}
IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "overview"
SESSION_COOKIE_NAME = "venom_session"
CSRF_COOKIE_NAME = "venom_csrf"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_FAILURE_VIEW = "venom_site.middleware.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("pl", _("Polish")), ("de", _("German"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = ENV.VENOM_TIME_ZONE
USE_THOUSAND_SEPARATOR = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "venom_site.lib.static.VersionedStaticStorage"},
}

REDIS_PREFIX = f"venom{REDIS_URL.rpartition('/')[2] or 0}" if REDIS_URL else "venom"
if REDIS_URL:
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": REDIS_PREFIX},
        }
    }
else:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "venom_site.embedded.channel_layer.LocalSocketChannelLayer",
            "CONFIG": {"directory": str(runtime_folder(DATA_DIR))},
        }
    }

BROKER_DIR = RUN_DIR / "broker"
CELERY_BROKER_URL = REDIS_URL or "files://"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"visibility_timeout": 3600, "socket_timeout": 10, "socket_connect_timeout": 5}
    if REDIS_URL
    else {
        "folder": str(BROKER_DIR),
        "polling_interval": 0.2,
        "max_retries": 2,  # an unusable folder is refused at once, not after 6 s
        "interval_start": 0,
        "interval_step": 0.1,
    }
)
CELERY_TASK_IGNORE_RESULT = True  # the row is the result
CELERY_TASK_ACKS_LATE = False  # the row re-queues, not the broker
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TIMEZONE = "UTC"

LOGGING = venom_logging.configuration(level="DEBUG" if DEBUG else "INFO")
LOGGING_CONFIG = "logging.config.dictConfig"

# Operations: how often a running one shows that it lives, and when it is given up.
OPERATION_HEARTBEAT_SECONDS = 1.0
OPERATION_STALE_SECONDS = 6.0
# How often each gateway process asks whether keys, runtimes or activations changed.
GATEWAY_POLL_SECONDS = 0.5
