"""Where HTTP and WebSockets come in."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ezstream.settings")
http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402  (needs the app registry)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from ezstream import body_limit, drain  # noqa: E402
from ezstream.turns import in_turns  # noqa: E402
from ops import sockets as ops_sockets  # noqa: E402
from streams import sockets as streams_sockets  # noqa: E402

body_limit.install()
drain.install()

# The streams' last one is for any other address.
sockets = [*ops_sockets.websocket_urlpatterns, *streams_sockets.websocket_urlpatterns]
application = ProtocolTypeRouter(
    {
        "http": in_turns(http, settings.WEB_REQUESTS_AT_ONCE),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(sockets))),
    }
)
