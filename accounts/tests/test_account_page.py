import pytest
from django.test import Client

from accounts import audit
from accounts.models import GIB, AuditEntry, Package, SignIn, User
from accounts.tests.helpers import HOME, errors_of
from streams.models import Status, Stream

pytestmark = pytest.mark.django_db


def page(client):
    return " ".join(client.get(HOME).content.decode().split())


def save(client, **changed):
    return client.post(HOME, {"name": "Alice Archer", "time_zone": "", **changed})


def test_it_shows_what_is_used_of_what_is_allowed(client_of, alice):
    User.objects.filter(pk=alice.pk).update(storage_used=12 * GIB, storage_reserved=3 * GIB)
    for status in (Status.STREAMING, Status.STARTING, Status.INACTIVE, Status.ERROR):
        Stream.objects.create(owner=alice, title=status, status=status)
    html = page(client_of(alice))
    assert "15 GiB of 50 GiB" in html
    assert "35 GiB left · 3 GiB reserved by uploads under way" in html
    assert 'value="2" max="2" aria-label="Streams on air"' in html
    assert "2 of 2" in html


def test_somebody_elses_streams_do_not_count(client_of, alice, bob):
    Stream.objects.create(owner=bob, title="Bob's", status=Status.STREAMING)
    assert 'value="0" max="2" aria-label="Streams on air"' in page(client_of(alice))


def test_it_shows_the_package(client_of, alice):
    User.objects.filter(pk=alice.pk).update(package=Package.objects.get(name="Premium"))
    html = page(client_of(alice))
    for text in ("Premium", "500 GiB", "10 streams", "unlimited", "149.99"):
        assert text in html


def test_it_shows_sign_ins_and_activity_of_this_user_only(client_of, alice, bob):
    SignIn.objects.create(user=alice, succeeded=True, address="192.0.2.1")
    SignIn.objects.create(user=bob, succeeded=False, address="192.0.2.99")
    audit.record(alice, "start", Stream.objects.create(owner=alice, title="Morning loop"))
    audit.record(bob, "start", Stream.objects.create(owner=bob, title="Evening loop"))
    html = page(client_of(alice))
    assert "192.0.2.1" in html
    assert "192.0.2.99" not in html
    assert "Started «Morning loop»" in html
    assert "Evening loop" not in html


def test_times_are_in_the_users_zone(client_of, alice):
    User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")
    row = SignIn.objects.create(user=alice, succeeded=True)
    SignIn.objects.filter(pk=row.pk).update(at="2026-01-01T20:30:00Z")
    assert "2 Jan 2026, 05:30" in page(client_of(alice))


def test_without_a_chosen_zone_the_browsers_counts(client_of, alice):
    row = SignIn.objects.create(user=alice, succeeded=True)
    SignIn.objects.filter(pk=row.pk).update(at="2026-01-01T20:30:00Z")
    client = client_of(alice)
    client.cookies["time_zone"] = "Europe%2FBerlin"
    assert "1 Jan 2026, 21:30" in page(client)
    client.cookies["time_zone"] = "../../etc/passwd"
    assert "1 Jan 2026, 20:30" in page(client)


def test_name_and_zone_can_be_changed(client_of, alice):
    response = save(client_of(alice), name=" Alice B. ", time_zone="Asia/Ho_Chi_Minh")
    assert (response.status_code, response["Location"]) == (302, HOME)
    alice.refresh_from_db()
    assert (alice.name, alice.time_zone) == ("Alice B.", "Asia/Ho_Chi_Minh")
    entry = AuditEntry.objects.get(verb="change account")
    assert (entry.actor, entry.details) == (alice, {"fields": ["name", "time_zone"]})


def test_saving_nothing_records_nothing(client_of, alice):
    save(client_of(alice))
    assert not AuditEntry.objects.exists()


def test_saving_touches_nothing_but_what_was_changed(client_of, alice, monkeypatch):
    from accounts.forms import ProfileForm

    save_changes = ProfileForm.save_changes

    def while_an_upload_ends(self):
        User.objects.filter(pk=alice.pk).update(storage_used=4096)
        return save_changes(self)

    monkeypatch.setattr(ProfileForm, "save_changes", while_an_upload_ends)
    save(client_of(alice), name="Alice B.")
    alice.refresh_from_db()
    assert (alice.name, alice.storage_used) == ("Alice B.", 4096)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "This field is required."),
        ("name", "   ", "This field is required."),
        ("name", "x" * 121, "at most 120 characters"),
        ("time_zone", "Mars/Olympus", "Select a valid choice."),
    ],
)
def test_wrong_input_is_said_beside_its_field(client_of, alice, field, value, message):
    response = save(client_of(alice), **{field: value})
    assert message in errors_of(response, field)
    alice.refresh_from_db()
    assert alice.name == "Alice Archer"


def test_nothing_else_can_be_changed_by_it(client_of, alice):
    save(client_of(alice), is_staff="on", storage_used="0", email="x@example.org", package="3")
    alice.refresh_from_db()
    assert (alice.is_staff, alice.email, alice.package) == (False, "alice@example.org", None)


def test_other_methods_are_refused(client_of, alice):
    assert client_of(alice).delete(HOME).status_code == 405


def test_a_stranger_is_sent_to_sign_in():
    response = Client().get(HOME)
    assert response["Location"] == "/account/login/?next=/account/"


def test_queries_do_not_grow_with_history(client_of, alice, django_assert_max_num_queries):
    for number in range(60):
        SignIn.objects.create(user=alice, succeeded=True)
        audit.record(alice, "start", Stream.objects.create(owner=alice, title=f"s{number}", status=Status.STREAMING))
    client = client_of(alice)
    with django_assert_max_num_queries(8):
        client.get(HOME)
