"""Commands that outlive the connection that began them: apt is not to be cut in the middle.

They run in a unit of their own (systemd-run; without systemd in a session of their own), under a lock, with output and
exit status in files. Who comes back later asks for what was said since. `flock -o`: a service that is started on the
way does not inherit the lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fleet.provision.ssh import Result

HOME: Final = "/var/lib/ezstream-setup"
MOST_AT_ONCE: Final = 65_536

_RUN: Final = (
    'echo $PPID >"$0/pid"; "$@" >"$0/out" 2>&1 </dev/null; echo $? >"$0/status.new"; mv "$0/status.new" "$0/status"'
)
_BEGIN: Final = f"""\
set -e; umask 077; d=$1; shift; mkdir -p "$d"
flock -n "$d/lock" true || exit 0
rm -f "$d/status" "$d/pid"; : >"$d/out"
run='{_RUN}'
if [ -d /run/systemd/system ]
then systemd-run --quiet --collect flock -n -o "$d/lock" sh -c "$run" "$d" "$@"
else setsid --fork flock -n -o "$d/lock" sh -c "$run" "$d" "$@" </dev/null >/dev/null 2>&1
fi
n=0; while [ ! -s "$d/pid" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
"""
_ASK: Final = f"""\
d=$1; from=$2
if flock -n "$d/lock" true; then state=$(cat "$d/status" 2>/dev/null || echo gone); else state=running; fi
size=$(stat -c %s "$d/out" 2>/dev/null || echo "$from"); most=$((size - from))
[ $most -gt {MOST_AT_ONCE} ] && most={MOST_AT_ONCE}; [ $most -lt 0 ] && most=0
echo "$state $((from + most)) $size"
tail -c "+$((from + 1))" "$d/out" 2>/dev/null | head -c $most
"""
_END: Final = """\
d=$1; pid=$(cat "$d/pid" 2>/dev/null) || exit 0
for signal in TERM TERM TERM TERM KILL; do
  flock -n "$d/lock" true && exit 0
  kill -s $signal -- "-$pid" 2>/dev/null; flock -w 1 "$d/lock" true && exit 0
done
"""


@dataclass(frozen=True, slots=True)
class State:
    """`status` None while it runs. `is_gone`: it ended without one, as by a reboot. `at`: where to ask from next."""

    status: int | None
    is_gone: bool
    at: int
    is_all: bool
    said: str

    @property
    def is_over(self) -> bool:
        return self.is_all and (self.is_gone or self.status is not None)


def begin(name: str, argv: Sequence[str]) -> list[str]:
    """Does nothing while one of this name runs: then that is the one to follow."""
    return ["sh", "-c", _BEGIN, "begin", f"{HOME}/{name}", *argv]


def ask(name: str, at: int) -> list[str]:
    return ["sh", "-c", _ASK, "ask", f"{HOME}/{name}", str(at)]


def end(name: str) -> list[str]:
    """Tells it and its children to end; within five seconds it is over."""
    return ["sh", "-c", _END, "end", f"{HOME}/{name}"]


def answer(result: Result) -> State:
    """What `ask` was told."""
    head, _, said = result.out.partition("\n")
    word, at, size = head.split()
    status = int(word) if word.isdigit() else None
    return State(status, word == "gone", int(at), at == size, said)
