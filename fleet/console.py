"""What the commands about the fleet share: VPSes by name, questions to their agents, tables for a terminal, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import redis
from django.core.management.base import CommandError, CommandParser, OutputWrapper

from agent.protocol import Answered
from fleet import asking
from fleet.errors import Refused
from fleet.models import Vps


def add_json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", dest="as_json", help="for programs: one JSON value")


def one(name: str) -> Vps:
    """Raises CommandError, with names that are near."""
    vps = Vps.objects.filter(name=name).first()
    if vps is not None:
        return vps
    near = list(Vps.objects.filter(name__icontains=name[:20]).values_list("name", flat=True)[:5])
    hint = f"; there is {', '.join(near)}" if near else ""
    raise CommandError(f"no VPS named «{name}»{hint}")


def ask(vps: Vps, what: str) -> Answered:
    """Raises CommandError."""
    try:
        return asking.ask(vps, what)
    except Refused as refusal:
        raise CommandError(refusal.message) from refusal
    except redis.RedisError as error:
        raise CommandError(f"Redis does not answer ({type(error).__name__})") from error


def write_json(out: OutputWrapper, value: Any) -> None:
    out.write(json.dumps(value, ensure_ascii=False, indent=1))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as what stands in them; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    numeric = [bool(rows) and all(isinstance(row[index], int | float) for row in rows) for index in range(len(head))]
    lines = [head, *cells]
    return "\n".join("  ".join(map(_padded, line, widths, numeric)).rstrip() for line in lines)


def _padded(cell: str, width: int, is_number: bool) -> str:
    return cell.rjust(width) if is_number else cell.ljust(width)
