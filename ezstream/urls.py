"""Every address, by app."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from ezstream.api import api
from ops import views as ops_views

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="streams:list"), name="home"),
    path("admin/", admin.site.urls),
    path("account/", include("accounts.urls")),
    path("account/", include("allauth.account.urls")),
    path("library/", include("media_library.urls")),
    path("streams/", include("streams.urls")),
    path("enrol/", include("fleet.urls")),
    path("api/", api.urls),
    path("health", ops_views.live, name="health"),
    path("health/ready", ops_views.ready, name="health_ready"),
    path("metrics", ops_views.figures, name="metrics"),
]
