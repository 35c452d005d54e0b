"""The one loop that owns the state: events in, `decide`, actions done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agent import actions, journal, procfs, report, shelf
from agent.cache import Cache, Entry
from agent.config import Config
from agent.decide import decide
from agent.downloads import Trust
from agent.events import Adopted, ClockSet, Event, MediaCached, Shutdown, SlateReady, Tick
from agent.ffmpeg import Ffmpeg
from agent.flvscan import profile_at
from agent.inquiries import Inquiries
from agent.load import LoadMeter
from agent.log import Recent, Redactor
from agent.looks import Looks
from agent.nginx import Nginx
from agent.nginx_program import Program
from agent.nursery import Nursery
from agent.obtain import Obtainer
from agent.pictures import Pictures
from agent.playout.plan import Destination
from agent.playout.trial import Trial, trial
from agent.protocol import DestinationTested, Heartbeat, StreamConfig
from agent.redis_link import RedisLink
from agent.secrecy import secrets_of
from agent.service import Service
from agent.slate_maker import SlateMaker
from agent.state import State
from agent.supervisor import Supervisor, exit_reason
from agent.trials import Trials
from agent.version import version

TICK_SECONDS: Final = 0.5
CLOCK_STEP_SECONDS: Final = 1.0
"""Between two ticks; less is how clocks are kept right."""
ALIVE: Final = "alive"
log = logging.getLogger("agent")


class Core:
    def __init__(self, config: Config, redactor: Redactor, recent: Recent, service: Service) -> None:
        self._config = config
        self._service = service
        self._redactor = redactor
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._state = State(
            vps_id=config.vps_id,
            max_streams=config.max_streams,
            on_exit=config.on_exit,
            reach_private=config.reach_private,
            nginx_port=config.nginx_rtmp_port,
        )
        self._done = False
        self._load = LoadMeter(config.work_dir)
        self._cache = Cache(config.cache_dir, config.cache_bytes)
        self._cache.held = shelf.ALWAYS
        self._ffmpeg = Ffmpeg(config.ffmpeg)
        trust = Trust(config.trusted_hosts, config.plain_http_hosts, config.media_ca_file)
        self._obtainer = Obtainer(self._cache, trust, self._ffmpeg, self.post)
        self._slates = SlateMaker(self._cache, trust, self._ffmpeg, self.post)
        self._trials = Trials(self._attempt, self.post)
        self._nursery = Nursery()
        self._supervisor = Supervisor(config.runs_dir, self.post, nursery=self._nursery)
        program = Program(config.nginx, config.nginx_rtmp_port)
        self._nginx = Nginx(program, config.nginx_conf, self.post, reach_private=config.reach_private)
        looks = Looks(config.runs_dir, self._nginx, config.nginx_rtmp_port, recent)
        self._inquiries = Inquiries(looks.by_name(), self.post)
        self._pictures = Pictures(self._ffmpeg, trust, self._supervisor.run_dir, self._pictures_wanted)
        self._link = RedisLink(
            config.redis_url,
            config.vps_id,
            self.post,
            self._heartbeat,
            on_bug=lambda: self.post(Shutdown()),
            ca_file=config.redis_ca_file,
        )

    def post(self, event: Event) -> None:
        self._queue.put_nowait(event)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.post, Shutdown())
        self._nursery.warm_up()
        self._take_over()
        self._link.start()
        self._service.ready(version())
        ticking = asyncio.create_task(self._tick_for_ever())
        picturing = asyncio.create_task(self._pictures.run())
        relaying = asyncio.create_task(self._nginx.run())
        try:
            while not self._done:
                self._handle(await self._queue.get())
                self._service.alive(time.monotonic())
        finally:
            self._service.stopping()
            ticking.cancel()
            picturing.cancel()
            relaying.cancel()
            await self._close()

    async def _close(self) -> None:
        await self._link.close()
        await self._supervisor.let_go()
        self._nursery.close()
        closers = (self._obtainer, self._slates, self._trials, self._inquiries, self._nginx)
        closing = [each.close() for each in closers]
        await asyncio.wait([asyncio.create_task(each) for each in closing], timeout=2.0)

    async def _tick_for_ever(self) -> None:
        ahead = _wall_ahead()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            before, ahead = ahead, _wall_ahead()
            if abs(ahead - before) >= CLOCK_STEP_SECONDS:
                self.post(ClockSet(ahead - before))
            self.post(Tick())
            with contextlib.suppress(OSError):
                self._supervisor.rotate_logs()

    # ---------------------------------------------------------------------------------- beginning

    def _take_over(self) -> None:
        """What an earlier agent left: its prepared files, its runs, and playouts nobody knows."""
        for directory in (self._config.runs_dir, self._config.cache_dir):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        now = time.time()
        for entry in self._cache.open(now):
            self._take_over_file(entry)
        away = now - _modified(self._config.work_dir / ALIVE, now)
        running = procfs.playouts_under(self._config.runs_dir)
        for run_dir in sorted(self._config.runs_dir.iterdir()):
            self._take_over_run(run_dir, running.get(run_dir, []), away)

    def _take_over_file(self, entry: Entry) -> None:
        if entry.key.startswith(shelf.MADE):
            self.post(SlateReady(entry.key, str(entry.path)))
        elif not entry.key.startswith(shelf.FETCHED):
            self.post(MediaCached(entry.key, str(entry.path), entry.duration_s, profile_at(entry.path)))

    def _take_over_run(self, run_dir: Path, pids: list[int], away: float) -> None:
        record = journal.load(run_dir)
        if record is None:
            _kill_all(pids)
            self._supervisor.bury(run_dir.name)
            return
        if pids and record.pid not in pids:
            # The agent went between beginning it and writing that down.
            record = replace(record, pid=pids[0], ticks=procfs.start_ticks(pids[0]))
        _kill_all([pid for pid in pids if pid != record.pid])
        self._learn(record.config)
        alive = (
            record.pid is not None
            and record.ticks is not None
            and self._supervisor.adopt(record.config.id, record.config.run_id, record.pid, record.ticks)
        )
        self.post(Adopted(record, alive, exit_reason(run_dir), away))

    def _learn(self, config: StreamConfig) -> None:
        self._redactor.learn(config.run_id, secrets_of(config))

    def _pictures_wanted(self) -> dict[str, str]:
        held = self._state.runs.values()
        return {run.run_id: run.config.picture_url for run in held if run.on_air_since and run.config.picture_url}

    async def _attempt(self, place: Destination) -> Trial:
        config = self._config
        ca_file = str(config.ca_file) if config.ca_file else None
        return await trial(place, ca_file=ca_file, reach_private=config.reach_private, ffmpeg=config.ffmpeg)

    # ------------------------------------------------------------------------------------ the loop

    def _handle(self, event: Event) -> None:
        try:
            state, wanted = decide(self._state, event, time.time())
        except Exception:
            # A bug met by one event of one stream must not end the others; nothing has changed yet.
            log.exception("an event could not be handled", extra={"detail": type(event).__name__})
            return
        self._state = state
        for action in wanted:
            self._perform(action)

    def _perform(self, action: actions.Action) -> None:
        try:
            _PERFORM[type(action)](self, action)
        except OSError as error:
            extra = {"error_type": type(error).__name__, "detail": str(error)}
            log.error("%s failed", type(action).__name__, extra=extra)

    def _heartbeat(self) -> Heartbeat:
        with contextlib.suppress(OSError):
            (self._config.work_dir / ALIVE).touch()
        now = time.time()
        state = self._state
        return Heartbeat(
            vps_id=state.vps_id,
            timestamp=now,
            agent_version=version(),
            load=self._load.sample(time.monotonic()),
            runs=tuple(report.run_report(run, state.media) for run in state.runs.values()),
            accepting=state.accepting,
        )

    # ----------------------------------------------------------------------------------- the actions

    def _hold(self, action: actions.Hold) -> None:
        self._cache.held = action.keys

    def _remember(self, action: actions.Remember) -> None:
        self._learn(action.record.config)
        run_dir = self._supervisor.run_dir(action.record.config.run_id)
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        journal.save(run_dir, action.record)

    def _forget(self, action: actions.Forget) -> None:
        self._supervisor.bury(action.run_id)
        self._redactor.forget(action.run_id)

    def _write_plan(self, action: actions.WritePlan) -> None:
        config = self._config
        ca_file = str(config.ca_file) if config.ca_file else None
        plan = action.plan | {"reach_private": config.reach_private, "ffmpeg": config.ffmpeg, "ca_file": ca_file}
        self._supervisor.write_plan(action.run_id, plan)

    def _try(self, action: actions.Try) -> None:
        self._redactor.learn(f"test {action.test_id}", (action.push.key,))
        self._trials.begin(action)

    def _publish(self, action: actions.Publish) -> None:
        if isinstance(action.message, DestinationTested):
            self._redactor.forget(f"test {action.message.test_id}")
        self._link.publish(action.message)

    def _report(self, action: actions.Report) -> None:
        tail = tuple(map(self._redactor.clean, self._supervisor.tail(action.message.run_id)))
        self._link.publish(replace(action.message, log_tail=tail))

    def _note(self, note: actions.Note) -> None:
        extra = {
            "stream": note.stream_id,
            "run": note.run_id,
            "request": note.request_id,
            "error_type": note.error_type,
            "retry_count": note.retry_count,
            "will_retry": note.will_retry,
        }
        log.log(getattr(logging, note.level.upper()), note.text, extra=extra)

    def _exit(self, _action: actions.Exit) -> None:
        self._done = True


_PERFORM: Final[dict[type, Callable[[Core, Any], None]]] = {
    actions.Obtain: lambda core, do: core._obtainer.obtain(do.key, do.item, urgent=do.urgent),
    actions.Abandon: lambda core, do: core._obtainer.abandon(do.key),
    actions.Delete: lambda core, do: core._cache.delete(do.key),
    actions.Hold: Core._hold,
    actions.WritePlan: Core._write_plan,
    actions.Spawn: lambda core, do: core._supervisor.spawn(do.stream_id, do.run_id, resume=do.resume),
    actions.MakeSlate: lambda core, do: core._slates.make(do.key, do.profile, do.file),
    actions.Steer: lambda core, do: core._supervisor.steer(do),
    actions.Try: Core._try,
    actions.Inquire: lambda core, do: core._inquiries.begin(do),
    actions.AskNext: lambda core, do: core._supervisor.ask_next(do.run_id),
    actions.AskToStop: lambda core, do: core._supervisor.ask_to_stop(do.run_id),
    actions.Signal: lambda core, do: core._supervisor.signal(do.run_id, do.number),
    actions.Remember: Core._remember,
    actions.Forget: Core._forget,
    actions.Relay: lambda core, do: core._nginx.want(do.wanted),
    actions.AppendLog: lambda core, do: core._supervisor.append_log(
        do.run_id, tuple(map(core._redactor.clean, do.lines))
    ),
    actions.Publish: Core._publish,
    actions.Report: Core._report,
    actions.Poke: lambda core, _do: core._link.poke(),
    actions.Note: Core._note,
    actions.Exit: Core._exit,
}


def _wall_ahead() -> float:
    """Of the monotonic clock, which nobody sets."""
    return time.time() - time.monotonic()


def _modified(path: Path, otherwise: float) -> float:
    return path.stat().st_mtime if path.exists() else otherwise


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        log.warning("a playout nobody holds is ended", extra={"detail": str(pid)})
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            log.info("it was gone already")
