"""A user at the pages, over plain HTTP: for benches and tests that need no browser."""

from __future__ import annotations

import requests


class Client:
    """Signed in as one user. Raises `requests.HTTPError` when a page refuses. `verify`: a file of certificates."""

    def __init__(self, url: str, email: str, password: str, verify: str | bool = True) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.verify = verify
        # Else the environment's bundle of certificates would win over ours.
        self.session.trust_env = verify is True
        self.session.get(f"{url}/account/login/", timeout=10).raise_for_status()
        self.post("/account/login/", {"login": email, "password": password})
        if "sessionid" not in self.session.cookies:
            raise PermissionError(f"could not sign in as {email}")

    def post(self, path: str, data: dict[str, str] | None = None) -> requests.Response:
        form = (data or {}) | {"csrfmiddlewaretoken": self.session.cookies["csrftoken"]}
        answer = self.session.post(self.url + path, data=form, headers={"Referer": self.url}, timeout=30)
        answer.raise_for_status()
        return answer

    def get(self, path: str) -> requests.Response:
        answer = self.session.get(self.url + path, timeout=30)
        answer.raise_for_status()
        return answer

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self.session.cookies)
