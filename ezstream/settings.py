"""All settings, from the environment. `deploy/env.example` lists every variable with what it means.

Nothing here has an insecure default: what production must decide is asked for by name and its absence stops the
start. `bin/dev` writes a development environment to var/dev.env.
"""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environ
import structlog
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from kit.addresses import with_options
from kit.crypto import parse_keys
from kit.logs import mask_event

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
env = environ.Env()

# ------------------------------------------------------------------------------------------------ the machine
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
SITE_URL = env.str("SITE_URL", default="http://localhost:8000").rstrip("/")
SITE_CA_FILE = env.str("SITE_CA_FILE", default="")
"""PEM: who signed the certificate agents see there and at AGENT_MEDIA_URL; empty: who the system trusts."""
CSRF_TRUSTED_ORIGINS = [SITE_URL]
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
SECURE = SITE_URL.startswith("https://")

FIELD_KEYS = parse_keys(env.str("FIELD_KEYS"))
"""AES-256 keys for secrets at rest, newest first: `id:base64,id:base64`."""

# ------------------------------------------------------------------------------------------------ the house
INSTALLED_APPS = [
    "daphne",
    "ezstream.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "channels",
    "csp",
    "django_dramatiq",
    "django_htmx",
    "django_structlog",
    "template_partials.apps.SimpleAppConfig",
    "accounts",
    "media_library",
    "fleet",
    "streams",
    "ops",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "kit.measured.MeasuredRequests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.AuditMiddleware",
    "accounts.middleware.TimeZoneMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "kit.redis_gone.RedisGoneMiddleware",
]
ROOT_URLCONF = "ezstream.urls"
ASGI_APPLICATION = "ezstream.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": ["template_partials.templatetags.partials", "kit.templatetags.kit"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ------------------------------------------------------------------------------------------------ data
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{quote(str(VAR_DIR / 'ezstream.sqlite3'))}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Several processes write: WAL lets readers go on, IMMEDIATE queues the writers instead of failing them.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

WEB_REQUESTS_AT_ONCE = env.int("WEB_REQUESTS_AT_ONCE", default=64)
"""In each web process; each has a database connection of its own. PostgreSQL takes 100 unless told otherwise, and
workers, listener and scheduler need some twenty of them."""
REDIS_URL = env.str("REDIS_URL")
AGENT_REDIS_URL = env.str("AGENT_REDIS_URL", default=REDIS_URL)
AGENT_REDIS_PUBLIC_URL = env.str("AGENT_REDIS_PUBLIC_URL", default=AGENT_REDIS_URL)
"""Where agents reach the Redis of AGENT_REDIS_URL. Each signs in as a user of its own: one named here is left away."""
REDIS_CA_FILE = env.str("REDIS_CA_FILE", default="")
"""PEM: who signed the certificate agents see there (`manage.py redis_certificates`); empty: who the system trusts."""
AGENTS_SHARE_REDIS_USER = env.bool("AGENTS_SHARE_REDIS_USER", default=False)
"""For a Redis that keeps no users: agents then sign in as the control plane does, and can do all that it can."""
REDIS_LIMITS: dict[str, Any] = {"socket_timeout": 3.0, "socket_connect_timeout": 2.0}
"""Seconds: a Redis that takes connections and does not answer holds no page up for longer, nor for ever."""
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": REDIS_LIMITS,
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, **REDIS_LIMITS}]},
    }
}
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {"url": with_options(REDIS_URL, REDIS_LIMITS)},
    "MIDDLEWARE": [
        "dramatiq.middleware.AgeLimit",
        "dramatiq.middleware.TimeLimit",
        "dramatiq.middleware.Callbacks",
        "dramatiq.middleware.Retries",
        "dramatiq.middleware.ShutdownNotifications",
        "django_dramatiq.middleware.DbConnectionsMiddleware",
        "kit.actors.RequestIdMiddleware",
        "kit.measured.MeasuredActors",
        "ops.middleware.WorkerAlive",
        "ops.middleware.HandBack",
    ],
}
DRAMATIQ_AUTODISCOVER_MODULES = ["tasks"]

# ------------------------------------------------------------------------------------------------ people
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.BCryptSHA256PasswordHasher"]
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {
        "NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["name", "email"]},
    },
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator"},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATION}.NumericPasswordValidator"},
]
PASSWORD_RESET_TIMEOUT = int(timedelta(days=1).total_seconds())
SESSION_COOKIE_AGE = int(timedelta(days=30).total_seconds())
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
X_FRAME_OPTIONS = "DENY"

LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapter.Adapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if env.bool("REQUIRE_VERIFIED_EMAIL", default=False) else "optional"
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_FORMS = {
    "signup": "accounts.forms.SignupForm",
    "login": "accounts.forms.LoginForm",
    "add_email": "accounts.forms.AddEmailForm",
    "change_password": "accounts.forms.ChangePasswordForm",
    "reset_password": "accounts.forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.forms.ResetPasswordKeyForm",
    "reauthenticate": "accounts.forms.ReauthenticateForm",
}
# Failed sign-ins are limited by accounts.throttle: allauth's limit would lock an owner out with the attacker.
ACCOUNT_RATE_LIMITS = {"login_failed": None, "login": "60/m/ip", "reset_password": "20/h/ip,5/h/key"}
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)

DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="EZStream <noreply@localhost>")
EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)

# ------------------------------------------------------------------------------------------------ words and times
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("vi", _("Vietnamese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = USE_TZ = True
FORMAT_MODULE_PATH = ["ezstream.formats"]
TIME_ZONE = "UTC"

# ------------------------------------------------------------------------------------------------ files
STATIC_URL = "static/"
STATIC_MANIFEST = env.bool("STATIC_MANIFEST", default=not DEBUG)
"""Hashed names, from what `collectstatic` left in STATIC_ROOT; off: straight from the sources."""
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not STATIC_MANIFEST
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = VAR_DIR / "media"
UPLOAD_DIR = VAR_DIR / "uploads"
"""Where half-uploaded files grow; on the same file system as MEDIA_ROOT, so that finishing is a rename."""
MEDIA_STORAGE = env.str("MEDIA_STORAGE", default="local")
STORAGES = {
    "default": {"BACKEND": "media_library.storage.local.LocalMediaStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=10 * 1024**3)
UPLOAD_CHUNK_BYTES = 8 * 1024**2
UPLOAD_EXPIRY = timedelta(hours=24)
DOWNLOAD_URL_LIFETIME = timedelta(hours=24)
DATA_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_CHUNK_BYTES + 1024**2
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2500
"""A playlist has up to 1,000 items, each a field of its form."""
AGENT_MEDIA_URL = env.str("AGENT_MEDIA_URL", default=SITE_URL)
"""Where agents reach this control plane for files on its local disk."""
USE_X_ACCEL = env.bool("USE_X_ACCEL", default=False)
"""nginx sends the media itself: `location /protected-media/ { internal; alias MEDIA_ROOT/; }`."""
FFMPEG = env.str("FFMPEG", default="ffmpeg")

# ------------------------------------------------------------------------------------------------ streams
STREAM_TIMEOUTS = {
    "STARTING": timedelta(seconds=300),
    "STREAMING": timedelta(seconds=120),
    "STOPPING": timedelta(seconds=60),
}
"""How long each state may last without a sign of life from the agent."""
HEARTBEAT_FRESH = timedelta(seconds=20)
ALLOW_PRIVATE_DESTINATIONS = env.bool("ALLOW_PRIVATE_DESTINATIONS", default=False)
"""Development only: let destinations point at loopback and private addresses."""
DEMO_PLATFORM_URL = env.str("DEMO_PLATFORM_URL", default="")
"""Development only: where the demo platform of bin/dev shows what it receives."""

# ------------------------------------------------------------------------------------------------ fleet
SSH_TRUST_FIRST_USE = env.bool("SSH_TRUST_FIRST_USE", default=False)
"""Take the host key a server shows first without asking an operator. A changed one is refused in any case."""
AGENT_SOURCE = env.str("AGENT_SOURCE", default=str(BASE_DIR / "agent"))
"""The source of the agent that is put on servers: another folder to bring a changed one to some fleet first."""
PROVISION_UPGRADE = env.str("PROVISION_UPGRADE", default="security")
"""What provisioning upgrades: `security`, `full` or `none`."""
PROVISION_FIREWALL = env.bool("PROVISION_FIREWALL", default=True)
"""Close every port of a server but SSH (and those an nginx that is not ours serves)."""

# ------------------------------------------------------------------------------------------------ what may load
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "media-src": [SELF, "blob:"],
        "worker-src": [SELF, "blob:"],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# ------------------------------------------------------------------------------------------------ measuring
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
"""What Prometheus shows at /metrics; empty: only operators get in, by their session."""
METRICS_DIR = Path(env.str("METRICS_DIR", default=str(VAR_DIR / "metrics")))
"""Where the processes of this machine count, so that whichever web process is asked tells of all of them."""
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_DIR)  # read when prometheus_client is imported

# ------------------------------------------------------------------------------------------------ logs
DJANGO_STRUCTLOG_USER_ID_FIELD = "pk"
LOG_FORMAT = env.str("LOG_FORMAT", default="json")
_SHARED_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.processors.format_exc_info,
]
structlog.configure(
    processors=[
        *_SHARED_PROCESSORS,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _SHARED_PROCESSORS,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                mask_event,
                structlog.processors.JSONRenderer()
                if LOG_FORMAT == "json"
                else structlog.dev.ConsoleRenderer(colors=False),
            ],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # Django gives this logger a handler of its own under DEBUG: every line would come twice.
    # paramiko tells each broken connection with a traceback of its own thread; ours says what it came to.
    "loggers": {"django": {"handlers": [], "level": "INFO"}, "paramiko": {"level": "CRITICAL"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
}
