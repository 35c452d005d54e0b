"""Pages of accounts that are not allauth's own."""

from __future__ import annotations

from allauth.account.views import SignupView
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts import audit, reports
from accounts.forms import EmailTakenError, ProfileForm, SignupForm
from accounts.models import UsageReport, User
from accounts.usage import usage_of

SHOWN_ROWS = 10
"""Rows of sign-ins and of activity on the account page."""
SHOWN_WEEKS = 26


class Register(SignupView):
    """allauth's page, which also answers when two people register one e-mail at the same moment."""

    def form_valid(self, form: SignupForm) -> HttpResponse:
        try:
            response: HttpResponse = super().form_valid(form)
        except EmailTakenError:
            form.add_error("email", _("There is already an account with this e-mail."))
            response = self.form_invalid(form)
        return response


register = Register.as_view()


@login_required
@require_http_methods(["GET", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    user = User.objects.select_related("package").get(pk=request.user.pk or 0)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        if changed := form.save_changes():
            audit.record(user, "change account", user, request, fields=changed)
        messages.success(request, _("Saved."))
        return redirect("accounts:home")
    return render(
        request,
        "accounts/home.html",
        {
            "account": user,
            "form": form,
            "usage": usage_of(user),
            "sign_ins": user.sign_ins.all()[:SHOWN_ROWS],
            "activity": user.audit_entries.all()[:SHOWN_ROWS],
        },
    )


@login_required
@require_GET
def usage(request: HttpRequest) -> HttpResponse:
    page = Paginator(_reports(request), SHOWN_WEEKS).get_page(request.GET.get("page"))
    weeks = [(report, reports.streams_of(report)) for report in page.object_list]
    return render(request, "accounts/usage.html", {"page": page, "weeks": weeks})


@login_required
@require_GET
def usage_csv(request: HttpRequest) -> HttpResponse:
    return reports.download(_reports(request), "ezstream-usage")


def _reports(request: HttpRequest) -> QuerySet[UsageReport]:
    return UsageReport.objects.filter(user=request.user.pk or 0).select_related("user")
