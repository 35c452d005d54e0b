"""What holds for every page of accounts, as nobody and as somebody."""

import re

import pytest
from django.template.loader import render_to_string
from django.test import Client

from accounts.user_agents import browser_name

pytestmark = pytest.mark.django_db
OPEN = [
    "login",
    "signup",
    "password/reset",
    "password/reset/done",
    "password/reset/key/done",
    "confirm-email",
    "inactive",
]
OWN = ["", "email", "password/change", "logout", "reauthenticate"]


def pages(alice, client_of):
    stranger, own = Client(), client_of(alice)
    yield from ((f"/account/{path}/", stranger) for path in OPEN)
    yield from ((f"/account/{path}/".replace("//", "/"), own) for path in OWN)


def test_every_page_is_whole(alice, client_of):
    for url, client in pages(alice, client_of):
        response = client.get(url)
        html = response.content.decode()
        assert response.status_code == 200, url
        assert '<link rel="stylesheet" href="/static/css/ezstream.css">' in html, url
        assert re.search(r"<title>[^<]+ · EZStream</title>", html), url
        assert html.count("<h1") == 1, url
        assert 'id="main"' in html, url
        assert '<a class="skip" href="#main">' in html, url


def test_no_page_needs_what_the_policy_forbids(alice, client_of):
    for url, client in pages(alice, client_of):
        response = client.get(url)
        html = response.content.decode()
        assert "script-src 'self';" in response["Content-Security-Policy"] + ";", url
        assert not re.search(r"<script(?![^>]*\bsrc=)", html), url
        assert not re.search(r"\s(style|on\w+)=[\"']", html), url
        assert not re.search(r"(src|href)=[\"']https?:", html), url


def test_every_form_that_posts_carries_a_token(alice, client_of):
    for url, client in pages(alice, client_of):
        html = client.get(url).content.decode()
        for form in re.findall(r'<form[^>]*method="post".*?</form>', html, re.DOTALL):
            assert "csrfmiddlewaretoken" in form, url


def test_every_field_has_its_label(alice, client_of):
    for url, client in pages(alice, client_of):
        html = client.get(url).content.decode()
        for field in re.findall(r"<(?:input|select|textarea)[^>]*>", html):
            if 'type="hidden"' not in field:
                name = re.search(r'id="([^"]+)"', field)[1]
                assert f'for="{name}"' in html, (url, field)


def test_the_private_pages_are_private():
    for path in ("", "email", "password/change", "reauthenticate"):
        response = Client().get(f"/account/{path}/".replace("//", "/"))
        assert response.status_code == 302, path
        assert response["Location"].startswith("/account/login/"), path


def test_a_missing_page_says_so_in_our_look(client):
    response = client.get("/account/nowhere/")
    assert response.status_code == 404
    assert "Page not found" in response.content.decode()


def test_the_page_for_a_broken_server_needs_nothing():
    assert "Something broke on our side" in render_to_string("500.html")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", "–"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1", "Safari, iPhone"),
        (
            "Mozilla/5.0 (Linux; Android 14) Chrome/126.0 Mobile Safari/537.36",
            "Chrome, Android",
        ),
        ("curl/8.1", "curl"),
        ("x" * 300, "x" * 40),
    ],
)
def test_browsers_are_named(header, name):
    assert browser_name(header) == name
