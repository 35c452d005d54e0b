"""What people type about a schedule. Times are what the clock on the wall shows: they are never moved to a zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django import forms
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext_lazy as _

from accounts import time_zones
from streams.errors import Invalid, Refused
from streams.schedule import Once, Rule, Weekly
from streams.schedule_spec import MOST_RULES, ScheduleSpec

_FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
_CLOCK = {"type": "time", "class": "form-control"}


class WallField(forms.Field):
    """A date and time without a zone. Django's own field would read it in the zone of whoever looks at the page."""

    widget = forms.DateTimeInput(format=_FORMATS[0], attrs={"type": "datetime-local", "class": "form-control"})
    default_error_messages = {"invalid": _("Type a date and a time, as 2026-12-31 20:00.")}

    def to_python(self, value: str | None) -> datetime | None:
        if not value:
            return None
        for known in _FORMATS:
            try:
                return datetime.strptime(value.strip(), known)  # noqa: DTZ007 (a wall clock has no zone)
            except ValueError:
                continue
        raise forms.ValidationError(self.error_messages["invalid"], code="invalid")


class WeeklyForm(forms.Form):
    days = forms.TypedMultipleChoiceField(
        label=_("Days"),
        coerce=int,
        choices=[(str(day), name) for day, name in WEEKDAYS_ABBR.items()],
        error_messages={"required": _("Choose at least one day.")},
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
    )
    opens = forms.TimeField(
        label=_("From"),
        error_messages={"required": _("When does it begin?")},
        widget=forms.TimeInput(format="%H:%M", attrs=_CLOCK),
    )
    closes = forms.TimeField(
        label=_("To"),
        error_messages={"required": _("When does it end?")},
        widget=forms.TimeInput(format="%H:%M", attrs=_CLOCK),
    )

    def rule(self) -> Rule:
        data = self.cleaned_data
        return Weekly(frozenset(data["days"]), data["opens"], data["closes"])


class OnceForm(forms.Form):
    starts = WallField(label=_("From"), error_messages={"required": _("When does it begin?")})
    ends = WallField(label=_("To"), error_messages={"required": _("When does it end?")})

    def rule(self) -> Rule:
        return Once(self.cleaned_data["starts"], self.cleaned_data["ends"])


class ZoneForm(forms.Form):
    zone = forms.ChoiceField(
        label=_("Time zone of these times"),
        help_text=_("A window keeps its time on the clock when daylight saving begins or ends there."),
        widget=forms.Select(attrs={"class": "form-select"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["zone"].choices = time_zones.choices()[1:]  # type: ignore[attr-defined]


def _set_of(form: type[forms.Form]) -> Any:
    """A list of windows with a blank one beneath; the blank one is left out by leaving it blank."""
    most = MOST_RULES + 1
    return forms.formset_factory(
        form, extra=1, can_delete=True, can_delete_extra=False, max_num=most, absolute_max=2 * most
    )


WeeklyFormSet = _set_of(WeeklyForm)
OnceFormSet = _set_of(OnceForm)


class ScheduleForms:
    """The zone and two lists of windows, as one."""

    def __init__(self, data: Any = None, *, spec: ScheduleSpec) -> None:
        self.is_on = spec.is_on
        weekly = [rule for rule in spec.rules if isinstance(rule, Weekly)]
        once = [rule for rule in spec.rules if isinstance(rule, Once)]
        self.zone = ZoneForm(data, initial={"zone": spec.zone})
        # What came in is read for itself: compared with what is stored, an unchanged window would look empty.
        shown = data is None
        self.weekly = WeeklyFormSet(data, prefix="weekly", initial=[*map(_initial_weekly, weekly)] if shown else None)
        self.once = OnceFormSet(data, prefix="once", initial=[*map(_initial_once, once)] if shown else None)

    def is_valid(self) -> bool:
        return all([self.zone.is_valid(), self.weekly.is_valid(), self.once.is_valid()])

    @property
    def has_errors(self) -> bool:
        return bool(self.zone.errors or any(self.weekly.errors) or any(self.once.errors))

    def spec(self) -> ScheduleSpec:
        rules = tuple(form.rule() for form in self._filled())
        return ScheduleSpec(self.zone.cleaned_data["zone"], rules, self.is_on)

    def show(self, refusal: Refused) -> None:
        """Puts the words beside the window they are about."""
        forms_ = list(self._filled())
        fields = refusal.fields if isinstance(refusal, Invalid) else {"__all__": str(refusal)}
        for name, words in fields.items():
            place, _dot, number = name.partition(".")
            if place == "rules":
                forms_[int(number)].add_error(None, words)
            else:
                self.zone.add_error("zone" if name == "zone" else None, words)

    def _filled(self) -> Iterator[Any]:
        for formset in (self.weekly, self.once):
            for form in formset:
                is_there = form in formset.initial_forms or form.has_changed()
                if is_there and form not in formset.deleted_forms:
                    yield form


def _initial_weekly(rule: Weekly) -> dict[str, Any]:
    return {"days": [str(day) for day in sorted(rule.days)], "opens": rule.opens, "closes": rule.closes}


def _initial_once(rule: Once) -> dict[str, Any]:
    return {"starts": rule.starts, "ends": rule.ends}
