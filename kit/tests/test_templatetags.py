from datetime import timedelta

import pytest
from django import forms
from django.template.loader import render_to_string
from django.utils import translation

from kit.templatetags.kit import clock, control, filesize, gigabytes, percent, plain, since, tone, usage_tone

GIB = 1024**3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0, "0:00"), (65, "1:05"), (59.9, "0:59"), (7384, "2:03:04"), (360000, "100:00:00")],
)
def test_clock(seconds, words):
    assert clock(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, "–"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1 MiB"),
        (50 * GIB, "50 GiB"),
        (int(12.34 * GIB), "12.3 GiB"),
        (int(1.234 * GIB), "1.23 GiB"),
        (2 * 1024**4, "2 TiB"),
    ],
)
def test_filesize_is_in_binary_units(size, words):
    assert filesize(size) == words


def test_filesize_speaks_the_language():
    with translation.override("vi"):
        assert filesize(1536) == "1,5 KiB"
        assert plain(1.5) == "1.5"


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 10, 0), (1, 3, 33), (999, 1000, 99), (10, 10, 100), (20, 10, 100), (-1, 9, 0)],
)
def test_percent(part, whole, expected):
    assert percent(part, whole) == expected


def test_percent_of_nothing():
    assert percent(0, 0) == 0
    assert percent(1, 0) == 100


def test_usage_tone():
    assert [usage_tone(n, 100) for n in (10, 84, 85, 99, 100)] == ["", "", "warning", "warning", "danger"]


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=44), "just now"),
        (timedelta(seconds=45), "1 minute ago"),
        (timedelta(minutes=5), "5 minutes ago"),
        (timedelta(hours=2), "2 hours ago"),
        (timedelta(hours=30), "30 hours ago"),
        (timedelta(days=3), "3 days ago"),
    ],
)
def test_ago(passed, words):
    assert since(passed) == words


def test_tone_of_messages():
    assert [tone(tag) for tag in ("success", "error", "warning", "info", "?")] == [
        "live",
        "danger",
        "warning",
        "info",
        "info",
    ]


class Form(forms.Form):
    title = forms.CharField(max_length=3, help_text="Short.", widget=forms.TextInput(attrs={"class": "wide"}))
    loop = forms.BooleanField(required=False)
    order = forms.ChoiceField(choices=[("a", "A")])


def test_control_ties_errors_and_help_to_the_field():
    html = control(Form({"title": "too long"})["title"])
    assert 'aria-describedby="id_title_notes"' in html
    assert 'aria-invalid="true"' in html
    assert 'class="form-control wide"' in html


def test_control_without_errors_is_not_invalid():
    html = control(Form({"title": "ok"})["title"])
    assert "aria-invalid" not in html


def test_control_knows_checkboxes_and_selects():
    form = Form()
    assert 'class="form-check-input"' in control(form["loop"])
    assert 'class="form-select"' in control(form["order"])


def test_field_part_shows_the_error_beside_the_field():
    html = render_to_string("parts/field.html", {"field": Form({"title": "<too long>"})["title"]})
    assert 'id="id_title_notes"' in html
    assert "at most 3 characters" in html
    assert '<label class="form-label" for="id_title">' in html
    assert "<too long>" not in html


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 GB"),
        (308_533_374, "0.31 GB"),
        (1_250_000_000, "1.2 GB"),
        (850_400_000_000, "850 GB"),
        (2_000_000_000_000, "2 TB"),
        (12_340_000_000_000, "12.3 TB"),
    ],
)
def test_traffic_is_told_as_providers_count_it(size, shown):
    assert gigabytes(size).replace("\N{NO-BREAK SPACE}", " ") == shown
