"""What a server that adds itself asks for. The token in the address is the permission."""

from django.urls import path

from fleet.views import enrol

app_name = "enrol"
urlpatterns = [
    path("<str:token>", enrol.script, name="script"),
    path("<str:token>/agent", enrol.agent, name="agent"),
    path("<str:token>/register", enrol.register, name="register"),
    path("<str:token>/state", enrol.state, name="state"),
    path("<str:token>/failed", enrol.failed, name="failed"),
]
