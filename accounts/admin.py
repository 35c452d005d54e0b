"""Operators' pages for users, packages, sign-ins and the audit log."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.models import EmailAddress
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.formats import date_format, number_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts import audit, reports
from accounts import audit_admin as audit_admin
from accounts.models import Package, SignIn, UsageReport, User
from kit.console import NoBulkDelete, ReadOnlyAdmin
from kit.templatetags.kit import filesize, percent

admin.site.unregister(Group)
admin.site.unregister(EmailAddress)  # kept by the account pages; a second door would let them disagree


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ["email", "name"]


class UserForm(UserChangeForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = "__all__"


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]
    def save(self, commit: bool = True) -> User:
        """Writes the one column: what an upload adds to the row meanwhile must stay."""
        user = cast(User, super().save(commit=False))
        if commit:
            user.save(update_fields=["password"])
        return user


def plan_of(field: str) -> Coalesce:
    """A column of the package in force, the default one's for users without: no query per row."""
    default = Package.objects.filter(is_default=True).values(field)[:1]
    return Coalesce(f"package__{field}", models.Subquery(default))


@admin.register(User)
class OurUserAdmin(NoBulkDelete, UserAdmin):  # type: ignore[type-arg]
    form = UserForm
    add_form = NewUserForm
    change_password_form = PasswordForm
    list_display = ["email", "name", "plan_name", "storage", "is_active", "is_staff", "verified", "last_login"]
    list_filter = ["is_active", "is_staff", "package", ("email_verified_at", admin.EmptyFieldListFilter)]
    search_fields = ["email", "name"]
    ordering = ["email"]
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    readonly_fields = [
        "storage",
        "storage_used",
        "storage_reserved",
        "email_verified_at",
        "last_login",
        "date_joined",
    ]
    filter_horizontal = ["user_permissions"]
    actions = ["switch_on", "switch_off"]
    fieldsets = [
        (None, {"fields": ["email", "name", "password", "time_zone"]}),
        (_("Package"), {"fields": ["package", "storage", "storage_used", "storage_reserved"]}),
        (_("Access"), {"fields": ["is_active", "is_staff", "is_superuser", "user_permissions"]}),
        (_("Dates"), {"fields": ["email_verified_at", "last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (None, {"classes": ["wide"], "fields": ["email", "name", "usable_password", "password1", "password2"]})
    ]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[User]:
        users = cast("models.QuerySet[User]", super().get_queryset(request))
        return users.annotate(plan_name=plan_of("name"), plan_storage=plan_of("max_storage"))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Only a superuser makes operators, or superusers of them."""
        access = [] if _is_superuser(request) else ["is_staff", "is_superuser", "user_permissions"]
        return [*self.readonly_fields, *access]

    @admin.display(description=_("package"), ordering="plan_name")
    def plan_name(self, user: User) -> str:
        return str(getattr(user, "plan_name", None) or "–")

    @admin.display(description=_("storage"), ordering="storage_used")
    def storage(self, user: User) -> str:
        allowed = int(getattr(user, "plan_storage", None) or 0)
        taken = user.storage_taken
        return f"{percent(taken, allowed)} % of {filesize(allowed)}".replace(" ", "\N{NO-BREAK SPACE}")

    @admin.display(description=_("verified"), boolean=True, ordering="email_verified_at")
    def verified(self, user: User) -> bool:
        return user.email_verified_at is not None

    @admin.action(description=_("Switch on"), permissions=["change"])
    def switch_on(self, request: HttpRequest, users: models.QuerySet[User]) -> None:
        self._switch(request, users, on=True)

    @admin.action(description=_("Switch off (they are signed out)"), permissions=["change"])
    def switch_off(self, request: HttpRequest, users: models.QuerySet[User]) -> None:
        self._switch(request, users.exclude(pk=request.user.pk or 0), on=False)

    def _switch(self, request: HttpRequest, users: models.QuerySet[User], *, on: bool) -> None:
        changed = list(users.exclude(is_active=on))
        User.objects.filter(pk__in=[user.pk for user in changed]).update(is_active=on)
        for user in changed:
            audit.record(_operator(request), "switch on" if on else "switch off", user, request)
        self.message_user(request, _("%(n)d users changed.") % {"n": len(changed)}, messages.SUCCESS)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Who sets somebody's password can be them: it is written down like every change."""
        answer = super().user_change_password(request, id, form_url)
        user = self.get_object(request, id)
        if request.method == "POST" and answer.status_code == 302 and user is not None:
            audit.record(_operator(request), "set password", user, request)
        return answer

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """A change writes the changed columns only; a new e-mail has to be confirmed again."""
        if not change:
            super().save_model(request, obj, form, change)
        elif columns := _columns(form.changed_data):
            if "email" in columns:
                obj.email_verified_at = None
                columns.append("email_verified_at")
                EmailAddress.objects.filter(user=obj).delete()
            obj.save(update_fields=columns)
        audit.record(_operator(request), "change" if change else "create", obj, request, fields=form.changed_data)


@admin.register(Package)
class PackageAdmin(NoBulkDelete, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        "name",
        "storage",
        "max_concurrent_streams",
        "max_video_quality",
        "price",
        "is_default",
        "users",
    ]
    readonly_fields = ["is_default"]
    search_fields = ["name"]
    actions = ["make_default"]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Package]:
        packages = cast("models.QuerySet[Package]", super().get_queryset(request))
        return packages.annotate(user_count=models.Count("users"))

    @admin.display(description=_("storage"), ordering="max_storage")
    def storage(self, package: Package) -> str:
        return filesize(package.max_storage)

    @admin.display(description=_("users"), ordering="user_count")
    def users(self, package: Package) -> int:
        return int(getattr(package, "user_count", 0))

    @admin.action(description=_("Give to users without a package"), permissions=["change"])
    def make_default(self, request: HttpRequest, packages: models.QuerySet[Package]) -> None:
        if len(chosen := list(packages[:2])) != 1:
            self.message_user(request, _("Please choose exactly one package."), messages.ERROR)
            return
        with transaction.atomic():
            Package.objects.filter(is_default=True).update(is_default=False)
            Package.objects.filter(pk=chosen[0].pk).update(is_default=True)
        audit.record(_operator(request), "make default", chosen[0], request)

    def has_delete_permission(self, request: HttpRequest, obj: Package | None = None) -> bool:
        """The default package stays: users without one stand on it."""
        return super().has_delete_permission(request, obj) and not (obj and obj.is_default)

    def delete_model(self, request: HttpRequest, obj: Package) -> None:
        audit.record(_operator(request), "delete", obj, request)
        super().delete_model(request, obj)

    def save_model(self, request: HttpRequest, obj: Package, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        audit.record(_operator(request), "change" if change else "create", obj, request, fields=form.changed_data)


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin):
    list_display = ["at", "user", "address", "browser", "succeeded"]
    list_filter = ["succeeded", "at"]
    list_select_related = ["user"]
    search_fields = ["user__email", "address"]


@admin.register(UsageReport)
class UsageReportAdmin(ReadOnlyAdmin):
    list_display = ["week", "user", "on_air", "uptime", "runs", "failures", "sent", "stored"]
    list_filter = ["starts_on"]
    list_select_related = ["user"]
    search_fields = ["user__email", "user__name"]
    date_hierarchy = "starts_on"
    show_facets = admin.ShowFacets.NEVER
    actions = ["download"]
    fields = ("week", "user", "on_air", "uptime", "runs", "failures", "sent", "stored", "by_stream", "created_at")
    readonly_fields = fields

    @admin.display(description=_("week"), ordering="starts_on")
    def week(self, report: UsageReport) -> str:
        return f"{date_format(report.starts_on)} – {date_format(report.last_day)}"

    @admin.display(description=_("hours on air"), ordering="streamed_s")
    def on_air(self, report: UsageReport) -> str:
        return number_format(report.streamed_s / 3600, 1)

    @admin.display(description=_("uptime"))
    def uptime(self, report: UsageReport) -> str:
        return "–" if report.uptime is None else f"{number_format(report.uptime, 2)}\N{NO-BREAK SPACE}%"

    @admin.display(description=_("sent"), ordering="bytes_sent")
    def sent(self, report: UsageReport) -> str:
        return filesize(report.bytes_sent)

    @admin.display(description=_("stored"), ordering="bytes_stored")
    def stored(self, report: UsageReport) -> str:
        return filesize(report.bytes_stored)

    @admin.display(description=_("by stream"))
    def by_stream(self, report: UsageReport) -> SafeString:
        return render_to_string("admin/parts/usage_streams.html", {"streams": reports.streams_of(report)})

    @admin.action(description=_("Download as CSV"), permissions=["view"])
    def download(self, request: HttpRequest, chosen: models.QuerySet[UsageReport]) -> HttpResponse:
        return reports.download(chosen.select_related("user"), "ezstream-usage")


def _operator(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser


def _columns(fields: list[str]) -> list[str]:
    """Those of the form's fields that are columns of the user's row."""
    columns = {field.name for field in User._meta.concrete_fields}
    return [name for name in fields if name in columns]
