"""House rules for templates and static files, read from the files themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

TEMPLATES = settings.BASE_DIR / "templates"
STATIC = settings.BASE_DIR / "static"
FILES = sorted(path for path in TEMPLATES.rglob("*") if path.is_file())
PAGES = [path for path in FILES if path.suffix == ".html"]
NAMES = [str(path.relative_to(TEMPLATES)) for path in PAGES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_it_compiles(path):
    get_template(str(path.relative_to(TEMPLATES)))


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_nothing_the_policy_would_block(path):
    html = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"<script(?![^>]*\bsrc=)", html), "inline script"
    assert not re.search(r"<style\b|\sstyle=", html), "inline style"
    assert not re.search(r"\son[a-z]+=", html), "inline handler"
    assert not re.search(r"hx-on|hx-vals=['\"]js:", html), "htmx attribute that needs eval"


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_comments_do_not_show(path):
    for line in path.read_text().splitlines():
        assert line.count("{#") == line.count("#}"), "a comment in {# #} ends on its line"


def icons() -> set[str]:
    return set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text()))


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_every_icon_it_names_is_in_the_sprite(path):
    html = path.read_text()
    named = set(re.findall(r'parts/icon\.html"[^%]*\bname="([^"]+)"', html)) | set(
        re.findall(r'\bicon="([^"]+)"', html)
    )
    assert named <= icons()


def test_the_vendored_files_are_those_of_the_lock():
    lock = json.loads((STATIC / "vendor" / "vendor.json").read_text())
    wanted = {
        f"{package['name']}/{name.rsplit('/', 1)[-1]}" for package in lock["packages"] for name in package["files"]
    }
    there = {str(path.relative_to(STATIC / "vendor")) for path in (STATIC / "vendor").rglob("*") if path.is_file()}
    assert there == wanted | {"vendor.json"}
    drawn = {path.stem for path in (STATIC / "icons").glob("*.svg")}
    assert icons() == set(lock["icons"]) | drawn
    assert all(package["integrity"].startswith("sha512-") for package in lock["packages"])


def test_no_source_map_is_promised():
    """`collectstatic` follows them, and stops where they are not."""
    for path in filter(Path.is_file, STATIC.rglob("*.*s")):
        assert "sourceMappingURL=" not in path.read_text(errors="ignore")[-400:], path
