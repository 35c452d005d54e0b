import pytest
from django.urls import reverse

from accounts import audit
from accounts.models import AuditEntry, Package, SignIn, User
from conftest import make_user

pytestmark = pytest.mark.django_db
USERS = "/admin/accounts/user/"


@pytest.fixture
def console(client_of, operator):
    return client_of(operator)


def form_of(response):
    """The admin's form as a browser would send it back."""
    form = response.context["adminform"].form
    return {name: form[name].value() for name in form.fields if form[name].value() not in (None, False)}


def test_the_list_shows_package_and_usage(console, alice):
    User.objects.filter(pk=alice.pk).update(storage_used=25 * 1024**3)
    html = console.get(USERS).content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "Basic" in html
    assert "50 % of 50 GiB" in html


@pytest.mark.parametrize("query", ["?q=alice", "?is_active__exact=1", "?email_verified_at__isempty=1", "?o=4"])
def test_it_can_be_searched_filtered_and_sorted(console, alice, query):
    assert "alice@example.org" in console.get(USERS + query).content.decode()


def test_queries_do_not_grow_with_users(console, django_assert_max_num_queries):
    for number in range(60):
        make_user(f"user{number}@example.org", "U")
    with django_assert_max_num_queries(12):
        assert console.get(USERS).status_code == 200


def test_a_change_writes_only_what_was_changed(console, alice):
    url = reverse("admin:accounts_user_change", args=[alice.pk])
    form = form_of(console.get(url)) | {"name": "Alice B.", "package": Package.objects.get(name="Pro").pk}
    User.objects.filter(pk=alice.pk).update(storage_used=4096)
    assert console.post(url, form).status_code == 302
    alice.refresh_from_db()
    assert (alice.name, alice.plan.name, alice.storage_used) == ("Alice B.", "Pro", 4096)
    entry = AuditEntry.objects.get(verb="change")
    assert (entry.actor_email, entry.target_name) == ("operator@example.org", "alice@example.org")
    assert entry.details == {"fields": ["name", "package"]}


def test_a_new_email_has_to_be_confirmed_again(console, alice):
    alice.emailaddress_set.create(email=alice.email, verified=True, primary=True)
    User.objects.filter(pk=alice.pk).update(email_verified_at="2026-01-01T00:00:00Z")
    url = reverse("admin:accounts_user_change", args=[alice.pk])
    console.post(url, form_of(console.get(url)) | {"email": "ALICE@new.example"})
    alice.refresh_from_db()
    assert (alice.email, alice.email_verified_at) == ("alice@new.example", None)
    assert not alice.emailaddress_set.exists()


def test_an_email_taken_in_another_case_is_refused(console, alice, bob):
    url = reverse("admin:accounts_user_change", args=[bob.pk])
    response = console.post(url, form_of(console.get(url)) | {"email": "ALICE@EXAMPLE.org"})
    assert "already exists" in response.content.decode() or "This e-mail is taken." in response.content.decode()
    bob.refresh_from_db()
    assert bob.email == "bob@example.org"


def test_a_user_can_be_added(console):
    form = {
        "email": "New@Example.org",
        "name": "N",
        "usable_password": "true",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
    }
    assert console.post(f"{USERS}add/", form).status_code == 302
    assert User.objects.get(email="new@example.org").check_password("correct horse battery")


def test_a_password_can_be_set(console, alice):
    form = {"usable_password": "true", "password1": "another fine one", "password2": "another fine one"}
    assert console.post(f"{USERS}{alice.pk}/password/", form).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("another fine one")


def test_no_password_hash_is_shown_whole(console, alice):
    html = console.get(f"{USERS}{alice.pk}/change/").content.decode()
    assert alice.password not in html


def test_switching_off_signs_out_and_is_recorded(console, client_of, alice, operator):
    theirs = client_of(alice)
    form = {"action": "switch_off", "_selected_action": [alice.pk, operator.pk]}
    console.post(USERS, form)
    alice.refresh_from_db()
    operator.refresh_from_db()
    assert (alice.is_active, operator.is_active) == (False, True)
    assert theirs.get("/account/").status_code == 302
    assert AuditEntry.objects.get(verb="switch off").target_name == alice.email
    console.post(USERS, {"action": "switch_on", "_selected_action": [alice.pk]})
    assert theirs.get("/account/").status_code == 200


def test_only_a_superuser_makes_operators(client_of, operator, alice):
    User.objects.filter(pk=operator.pk).update(is_superuser=False)
    operator.refresh_from_db()
    from django.contrib.auth.models import Permission

    operator.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    console = client_of(operator)
    url = f"{USERS}{alice.pk}/change/"
    form = form_of(console.get(url)) | {"is_superuser": "on", "is_staff": "on", "name": "Changed"}
    assert console.post(url, form).status_code == 302
    alice.refresh_from_db()
    assert (alice.name, alice.is_superuser, alice.is_staff) == ("Changed", False, False)


def test_the_default_package_changes_hands_and_stays(console):
    basic, pro = Package.objects.get(name="Basic"), Package.objects.get(name="Pro")
    url = "/admin/accounts/package/"
    assert console.post(f"{url}{basic.pk}/delete/", {"post": "yes"}).status_code == 403
    console.post(url, {"action": "make_default", "_selected_action": [basic.pk, pro.pk]})
    assert Package.objects.default() == basic
    console.post(url, {"action": "make_default", "_selected_action": [pro.pk]})
    assert Package.objects.default() == pro


@pytest.mark.parametrize("model", ["auditentry", "signin"])
def test_history_is_read_only(console, alice, model):
    audit.record(alice, "start", alice)
    SignIn.objects.create(user=alice, succeeded=True, address="192.0.2.1")
    row = {"auditentry": AuditEntry, "signin": SignIn}[model].objects.first()
    url = f"/admin/accounts/{model}/"
    assert "alice@example.org" in console.get(f"{url}?q=alice").content.decode()
    assert console.get(f"{url}{row.pk}/change/").status_code == 200
    assert console.post(f"{url}{row.pk}/change/", {}).status_code == 403
    assert console.post(f"{url}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert console.get(f"{url}add/").status_code == 403


@pytest.mark.parametrize("model", ["auditentry", "signin", "package"])
def test_queries_of_the_other_lists_do_not_grow(console, alice, model, django_assert_max_num_queries):
    for number in range(60):
        audit.record(alice, "start", alice)
        SignIn.objects.create(user=alice, succeeded=True)
        Package.objects.create(name=f"P{number}", max_storage=1, max_concurrent_streams=1)
    with django_assert_max_num_queries(12):
        assert console.get(f"/admin/accounts/{model}/").status_code == 200
