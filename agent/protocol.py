"""What the control plane and an agent say to each other over Redis: the one module both sides import.

JSON, one message per publish. Strict to send (every message is a frozen dataclass), tolerant to receive:
unknown keys are ignored, a missing or mistyped one raises `ProtocolError` and nothing else does.
docs/protocol.md shows an example of each; those examples are the golden files both sides' tests read.

Channels (one per VPS and direction, so that a Redis user can be held to its own four):

    vps-commands:{vps_id}      down   StartStream, UpdateStream, StopStream, SteerStream, TestDestination, Query, Ping
    stream-status:{vps_id}     up     StreamStatus
    stream-progress:{vps_id}   up     StreamProgress
    vps-status:{vps_id}        up     Pong, Heartbeat, Steered, DestinationTested, Answered

Times are unix seconds (float), sizes are bytes, rates are kbit/s unless the name says otherwise.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, Union

PROTOCOL_VERSION: Final = 1
"""Counted up when a message gets a part that one side must understand. Whatever is new has a default, and what is not
known is ignored: so neighbours understand each other, and a fleet is upgraded one server after another."""
SKEW: Final = 1
"""How far apart the versions of an agent and its control plane may be."""
HEARTBEAT_SECONDS: Final = 5.0

HASH_LENGTH: Final = 12
"""Digits by which bundles are told apart."""

UP_PATTERNS: Final = ("stream-status:*", "stream-progress:*", "vps-status:*")

STAGES: Final = (
    "preparing",
    "command_sent",
    "downloading",
    "file_ready",
    "ffmpeg_starting",
    "ffmpeg_started",
    "streaming",
    "error",
)


class ProtocolError(ValueError):
    """The bytes are not a message of this protocol. Its text never repeats a value: it may be a secret."""


def commands_channel(vps_id: int) -> str:
    return f"vps-commands:{vps_id}"


def status_channel(vps_id: int) -> str:
    return f"stream-status:{vps_id}"


def progress_channel(vps_id: int) -> str:
    return f"stream-progress:{vps_id}"


def vps_channel(vps_id: int) -> str:
    return f"vps-status:{vps_id}"


def client_name(vps_id: int, password: str) -> str:
    """What an agent's connections to Redis are called: by the beginning of the password's digest the control plane sees
    which of two passwords is in use, and may take the old one away. A random password is not to be guessed from it."""
    mark = hashlib.sha256(password.encode()).hexdigest()[:8] if password else "none"
    return f"ezstream-agent-{vps_id}-{mark}"


def vps_of_channel(channel: str) -> int:
    """The VPS an up-message speaks for, by the channel it came on (the only sender that cannot be forged)."""
    _, _, suffix = channel.partition(":")
    if not (suffix.isascii() and suffix.isdigit()):
        raise ProtocolError("channel names no VPS")
    return int(suffix)


def is_compatible(protocol: int, ours: int = PROTOCOL_VERSION) -> bool:
    return abs(protocol - ours) <= SKEW


def version_of(source: str, bundle: str) -> str:
    """What an agent from a bundle calls itself. `bundle`: the hash of the file, hexadecimal, or its beginning."""
    return f"{source}+{bundle[:HASH_LENGTH]}"


def bundle_of(agent_version: str) -> str:
    """The beginning of the hash of the bundle an agent runs from; empty when it runs from its source."""
    return agent_version.partition("+")[2]


# ------------------------------------------------------------------------------------------------- parts


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFile:
    """One playlist item's file: where to fetch it and what is in it (as the control plane's probe saw)."""

    item_id: int
    file_id: int
    filename: str
    download_url: str = field(repr=False)
    """Signed, so a secret: never logged."""
    size: int
    disk: str = "local"
    """The storage backend it lies on (`local`, `bunny`, `s3`)."""
    title: str = ""
    sha256: str | None = None
    duration_s: float | None = None
    video_codec: str | None = None
    pixel_format: str | None = None
    audio_codec: str | None = None
    """None: the file has no sound, a silent track is added when it is prepared."""
    live_url: str = field(default="", repr=False)
    """A live input instead of a file: an RTMP(S) or HLS address, a secret for it may hold a key. Nothing is fetched
    then: `file_id` is minus the item's id, `size` 0 and `download_url` empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateFile:
    """The owner's own slate, shown whenever nothing else can play: a `picture` or a `clip`."""

    file_id: int
    kind: str
    filename: str
    download_url: str = field(repr=False)
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushUrl:
    """One destination. `id` is what states are reported under."""

    id: int
    name: str
    url: str
    key: str = field(repr=False)
    enabled: bool = True
    via: str = "native"
    """How it is pushed: `native` (the playout's own client), `ffmpeg` or `nginx`."""
    renew_every_s: float | None = None
    """The longest that one broadcast there gets before it is closed properly and published anew; None: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """All an agent needs to put a stream on air. `run_id` and `epoch` come back in every message about it."""

    id: int
    run_id: str
    epoch: int
    video_files: tuple[VideoFile, ...]
    push_urls: tuple[PushUrl, ...]
    loop: bool = True
    order: str = "sequential"
    keep_files_after_stop: bool = False
    rtmp_url: str = ""
    """Local nginx application of the stream's programme; empty when it needs none."""
    stream_key: str = field(default="", repr=False)
    picture_url: str = field(default="", repr=False)
    """Where a picture of what is on air may be put (signed, so a secret); empty: none is wanted."""
    slate: SlateFile | None = None
    """None: the slate that FFmpeg makes."""
    restart_every_s: float | None = None
    """The longest that a run goes on before all of it begins anew, where it is; None: for ever."""
    begin_item_id: int | None = None
    """Where the run begins, when not at its beginning: `begin_at_s` into this item."""
    begin_at_s: float = 0.0
    request_id: str = ""

    @property
    def fingerprint(self) -> str:
        """Equal for configurations that play the same to the same places (signed URLs aside)."""
        return fingerprint(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A destination's renewals: how many, the last one (when, how long nothing went there, whether somebody asked for
    it) and between when and when the next one is due."""

    count: int = 0
    at: float | None = None
    off_s: float = 0.0
    asked: bool = False
    next_from: float | None = None
    next_by: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationState:
    id: int
    state: str
    """connecting, live, reconnecting, renewing, refused, failed or disabled."""
    since: float
    reason: str | None = None
    bytes_sent: int = 0
    bitrate_kbps: float = 0.0
    reconnects: int = 0
    drops: int = 0
    lag_ms: int = 0
    """How much of the stream waits for the server to take it."""
    renewal: Renewal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputState:
    """A live input whose turn has come. `away`: the playlist or the slate plays meanwhile; `returning`: it sends
    again and must be stable for a while."""

    item_id: int
    state: str
    """on, away or returning."""
    since: float
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one held run is doing, as its agent sees it."""

    stream_id: int
    run_id: str
    epoch: int
    phase: str
    """fetching, preparing, starting, on_air, stopping, backing_off."""
    fingerprint: str = ""
    item_id: int | None = None
    file_id: int | None = None
    position_s: float = 0.0
    duration_s: float | None = None
    next_item_ids: tuple[int, ...] = ()
    items_played: int = 0
    bitrate_kbps: float = 0.0
    on_air_since: float | None = None
    restarts: int = 0
    restart_reason: str = ""
    """How the playout ended that was replaced last."""
    skipped: tuple[SkippedItem, ...] = ()
    slate: str | None = None
    """Why the slate is on air; None while an item is."""
    paused: bool = False
    input: InputState | None = None
    restart_from: float | None = None
    restart_by: float | None = None
    """Between when and when all of it begins anew as planned."""
    destinations: tuple[DestinationState, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedItem:
    item_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Percentages 0–100 of the whole machine; `network_mbit` is what leaves it now."""

    cpu: float
    memory: float
    disk: float
    network_mbit: float = 0.0
    sent_bytes: int | None = None
    """What left the machine since its agent began; None: this agent does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One process of an agent's. What it was started with is never said: keys may stand there."""

    pid: int
    kind: str
    """agent, nursery, playout, ffmpeg or other."""
    cpu: float
    """Percent of one core while it was looked at."""
    memory: int
    """Bytes resident."""
    age_s: float
    run_id: str = ""
    """Of the playout it is or belongs to; empty for what serves no single run."""


# ----------------------------------------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStream:
    command: typing.ClassVar[str] = "START_STREAM"
    config: StreamConfig
    timestamp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStream:
    """Playlist, order, loop or destinations changed on air: apply the difference, drop no connection."""

    command: typing.ClassVar[str] = "UPDATE_STREAM"
    config: StreamConfig
    timestamp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopStream:
    """Ends the named run; without `run_id`, whatever run of the stream is held."""

    command: typing.ClassVar[str] = "STOP_STREAM"
    stream_id: int
    timestamp: float
    run_id: str | None = None
    epoch: int | None = None
    """Up to this one: the same run under a higher epoch goes on. None: under any."""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerStream:
    """An order for what is on air; answered by `Steered` with the same `order_id`, refused for another run."""

    command: typing.ClassVar[str] = "STEER_STREAM"
    stream_id: int
    run_id: str
    order_id: str
    order: str
    """One of `STEERINGS`, or `RETRY`."""
    timestamp: float
    item_id: int | None = None
    """For `jump` and `play_next`."""
    destination_id: int | None = None
    """For `renew`."""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestDestination:
    """Open a real session with this destination, send no media, close; answered by `DestinationTested`."""

    __test__: typing.ClassVar[bool] = False
    command: typing.ClassVar[str] = "TEST_DESTINATION"
    test_id: str
    url: str
    key: str = field(repr=False)
    timestamp: float
    via: str = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    command: typing.ClassVar[str] = "PING"
    timestamp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question of an operator's; answered by `Answered` with the same `query_id`. An agent that does not name it in
    `Pong.queries` is too old to answer."""

    command: typing.ClassVar[str] = "QUERY"
    query_id: str
    what: str
    """One of `QUERIES`."""
    timestamp: float
    lines: int = 100
    """Of `log`: how many at most."""


Command = StartStream | UpdateStream | StopStream | SteerStream | TestDestination | Query | Ping


# ----------------------------------------------------------------------------------------------- up-messages


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    stream_id: int
    status: str
    """STREAMING, STOPPED or ERROR. STREAMING comes again whenever `run` changed."""
    message: str
    vps_id: int
    timestamp: float
    run_id: str
    epoch: int | None = None
    """Of the run; None where it is not known."""
    permanent: bool = False
    """Of an ERROR: it would end the same way on any server, so it is not worth another try."""
    ffmpeg_pid: int | None = None
    output_url: str | None = None
    """Scheme, host and application of the first destination; never with a key."""
    run: RunReport | None = None
    log_tail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProgress:
    stream_id: int
    stage: str
    progress: int
    message: str
    vps_id: int
    timestamp: float
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    command: typing.ClassVar[str] = "PONG"
    vps_id: int
    timestamp: float
    active_streams: int
    ping_timestamp: float | None = None
    queries: tuple[str, ...] = ()
    """What a `Query` may ask this agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    command: typing.ClassVar[str] = "HEARTBEAT"
    vps_id: int
    timestamp: float
    agent_version: str
    load: Load
    runs: tuple[RunReport, ...] = ()
    protocol: int = PROTOCOL_VERSION
    accepting: bool = True
    """False while the agent shuts down: hold what it holds, give it nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What came of a `SteerStream`: `item_id` is what is on air now, None for the slate."""

    command: typing.ClassVar[str] = "STEERED"
    vps_id: int
    timestamp: float
    stream_id: int
    run_id: str
    order_id: str
    ok: bool
    message: str = ""
    """Why not, in plain words."""
    item_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationTested:
    command: typing.ClassVar[str] = "TESTED"
    vps_id: int
    timestamp: float
    test_id: str
    state: str
    """ok, refused (the server does not want the key or application), failed (somebody must change something) or
    unreachable."""
    message: str
    took_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of a `Query`. `message`: the answer in a sentence, or why there is none."""

    command: typing.ClassVar[str] = "ANSWERED"
    vps_id: int
    timestamp: float
    query_id: str
    ok: bool
    """Of `nginx`: whether all is well with it."""
    message: str = ""
    processes: tuple[ProcessFacts, ...] = ()
    lines: tuple[str, ...] = ()


UpMessage = StreamStatus | StreamProgress | Pong | Heartbeat | Steered | DestinationTested | Answered
Message = Command | UpMessage

_COMMANDS: Final[dict[str, type[Command]]] = {
    kind.command: kind for kind in (StartStream, UpdateStream, StopStream, SteerStream, TestDestination, Query, Ping)
}
_VPS_MESSAGES: Final[dict[str, type[Pong | Heartbeat | Steered | DestinationTested | Answered]]] = {
    kind.command: kind for kind in (Pong, Heartbeat, Steered, DestinationTested, Answered)
}

STATUSES: Final = ("STREAMING", "STOPPED", "ERROR")
STEERINGS: Final = ("next", "previous", "jump", "play_next", "pause", "resume", "renew")
RETRY: Final = "retry"
"""The control plane's own: what held the destinations' keys is gone, whoever waits for one tries it now."""
QUERIES: Final = ("processes", "nginx", "log")
VIAS: Final = ("native", "ffmpeg", "nginx")
TEST_STATES: Final = ("ok", "refused", "failed", "unreachable")


# ----------------------------------------------------------------------------------------------- to and from


def encode(message: Message) -> str:
    """One line of JSON. The `command` of the class, where it has one, comes first."""
    body = as_dict(message)
    command = getattr(message, "command", None)
    head = {"command": command} if command else {}
    line = json.dumps(head | body, separators=(",", ":"), ensure_ascii=False)
    # Half a surrogate pair (a file name, a server's words) has no bytes on any wire.
    return line.encode("utf-8", "replace").decode("utf-8")


def as_dict(part: Any) -> dict[str, Any]:
    """A message, or a part of one, as it goes into JSON. What `dataclasses.asdict` gives, without its deep copies."""
    kind: Any = type(part)
    return {name: _plain(getattr(part, name)) for name in _names(kind)}


def _plain(value: Any) -> Any:
    if type(value) is tuple:
        return [_plain(each) for each in value]
    return as_dict(value) if hasattr(value, "__dataclass_fields__") else value


@functools.cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(spec.name for spec in dataclasses.fields(kind))


def decode_command(raw: str | bytes) -> Command:
    body = _load(raw)
    kind = _COMMANDS.get(_command_of(body))
    if kind is None:
        raise ProtocolError("unknown command")
    return _build(kind, body)


def decode_up(channel: str, raw: str | bytes) -> UpMessage:
    """The message of an agent. Refused when it speaks for another VPS than its channel's."""
    vps_id = vps_of_channel(channel)
    body = _load(raw)
    message = _build(_kind_of_up(channel, body), body)
    if message.vps_id != vps_id:
        raise ProtocolError("message of one VPS on the channel of another")
    _check_words(message)
    return message


def _kind_of_up(channel: str, body: dict[str, Any]) -> type[UpMessage]:
    family = channel.partition(":")[0]
    if family == "stream-status":
        return StreamStatus
    if family == "stream-progress":
        return StreamProgress
    kind = _VPS_MESSAGES.get(_command_of(body)) if family == "vps-status" else None
    if kind is None:
        raise ProtocolError("unknown kind of message")
    return kind


def _check_words(message: UpMessage) -> None:
    if isinstance(message, StreamStatus) and message.status not in STATUSES:
        raise ProtocolError("status: not one of the known words")
    if isinstance(message, DestinationTested) and message.state not in TEST_STATES:
        raise ProtocolError("state: not one of the known words")
    if isinstance(message, StreamProgress):
        if message.stage not in STAGES:
            raise ProtocolError("stage: not one of the known words")
        if not 0 <= message.progress <= 100:
            raise ProtocolError("progress: not between 0 and 100")


def fingerprint(config: StreamConfig) -> str:
    """See `StreamConfig.fingerprint`. Keyed material goes in hashed, so the result may be logged."""
    items = [(item.item_id, item.file_id, item.size, item.live_url) for item in config.video_files]
    pushes = [(push.id, push.url, push.key, push.enabled, push.via, push.renew_every_s) for push in config.push_urls]
    slate = config.slate and (config.slate.file_id, config.slate.kind, config.slate.size)
    material = json.dumps([items, pushes, config.loop, config.order, slate, config.restart_every_s])
    return hashlib.sha256(material.encode()).hexdigest()[:16]


def _load(raw: str | bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not JSON") from error
    if not isinstance(body, dict):
        raise ProtocolError("not a JSON object")
    return body


def _refuse_constant(_name: str) -> float:
    raise ProtocolError("not a finite number")


def _command_of(body: dict[str, Any]) -> str:
    command = body.get("command")
    return command if isinstance(command, str) else ""


# ----------------------------------------------------------------------------------------------- readers

_Reader = Callable[[Any], Any]
_BIGGEST_INTEGER: Final = 2**63 - 1
_INFINITE: Final = float("inf")
T = TypeVar("T")


class _Misfit(Exception):
    """What is wrong with a value. The path to it grows on the way out."""

    def __init__(self, words: str, path: str = "") -> None:
        self.words, self.path = words, path


def _build(kind: type[T], body: Any) -> T:
    reader = _reader(typing.cast(Any, kind))
    try:
        return typing.cast(T, reader(body))
    except _Misfit as misfit:
        raise ProtocolError(f"{misfit.path.lstrip('.') or 'message'}: {misfit.words}") from None


@functools.cache
def _reader(hint: Any) -> _Reader:
    """Made once of each type: thousands of reports a second come through here."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
        return _optional(_reader(inner))
    if origin is tuple:
        return _list(_reader(typing.get_args(hint)[0]))
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast(Any, hint))
    return _SCALARS[hint]


def _object(kind: Any) -> _Reader:
    hints = typing.get_type_hints(kind)
    fields = [
        (spec.name, _reader(hints[spec.name]), spec.default is dataclasses.MISSING) for spec in dataclasses.fields(kind)
    ]

    def read(body: Any) -> Any:
        if not isinstance(body, dict):
            raise _Misfit("not an object")
        values: dict[str, Any] = {}
        for name, reader, is_needed in fields:
            if name in body:
                try:
                    values[name] = reader(body[name])
                except _Misfit as misfit:
                    misfit.path = f".{name}{misfit.path}"
                    raise
            elif is_needed:
                raise _Misfit("missing", f".{name}")
        return kind(**values)

    return read


def _list(inner: _Reader) -> _Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _Misfit("not a list")
        found = []
        for item in value:
            try:
                found.append(inner(item))
            except _Misfit as misfit:
                misfit.path = f"[{len(found)}]{misfit.path}"
                raise
        return tuple(found)

    return read


def _optional(inner: _Reader) -> _Reader:
    return lambda value: None if value is None else inner(value)


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _Misfit("not bool")
    return value


def _int(value: Any) -> int:
    if type(value) is not int:
        raise _Misfit("not int")
    if abs(value) > _BIGGEST_INTEGER:
        raise _Misfit("out of range")
    return value


def _float(value: Any) -> float:
    if type(value) is float and -_INFINITE < value < _INFINITE:
        return value
    if type(value) not in (int, float):
        raise _Misfit("not float")
    try:
        number = float(value)
    except OverflowError:
        number = _INFINITE
    if not -_INFINITE < number < _INFINITE:
        raise _Misfit("out of range")
    return number


def _str(value: Any) -> str:
    if type(value) is not str:
        raise _Misfit("not str")
    if not (value.isascii() or _has_bytes(value)):
        raise _Misfit("not text")
    return value


def _has_bytes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_SCALARS: Final[dict[Any, _Reader]] = {bool: _bool, int: _int, float: _float, str: _str}
