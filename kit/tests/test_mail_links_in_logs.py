import pytest

from kit.logs import MASK, mask


@pytest.mark.parametrize(
    ("logged", "masked"),
    [
        ("GET /account/password/reset/key/3-c4x9-0123abc/ 302", f"GET /account/password/reset/key/3-{MASK}/ 302"),
        ("GET /account/confirm-email/MQ:1abc:xyz/", f"GET /account/confirm-email/{MASK}/"),
        ("POST /account/confirm-email/", "POST /account/confirm-email/"),
    ],
)
def test_links_of_our_mails_are_masked(logged, masked):
    assert mask(logged) == masked
