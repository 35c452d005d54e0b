import pytest
from django.test import RequestFactory

from kit.redirects import back


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/streams/?page=2", "/streams/?page=2"),
        ("http://testserver/library/", "http://testserver/library/"),
        ("https://evil.example/", "/account/"),
        ("//evil.example/", "/account/"),
        ("javascript:alert(1)", "/account/"),
        ("home", "home"),
        ("", "/account/"),
        (None, "/account/"),
    ],
)
def test_it_leads_to_a_page_of_ours_and_nowhere_else(wanted, leads_to):
    request = RequestFactory().post("/", {} if wanted is None else {"next": wanted})
    assert back(request, "accounts:home")["Location"] == leads_to
