"""A platform to stream to: real RTMP ingest on loopback, and a page where what it receives can be watched.

nginx-rtmp when it is installed, else FFmpeg listening (one stream per port). Run it as

    python -m lab.platform DIR --rtmp-port 1935 --http-port 8035 [--record]

Files below DIR: `hls/{app}/{key}.m3u8` what is live, `record/{app}/…flv` what came in, with --record.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import getpass
import http.server
import json
import shutil
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Final

from lab.processes import Child, Supervisor, end_on_signals, wait_for_the_end

APPS: Final = ("tube", "switch")
"""The two platforms it plays; any key is welcome at either."""
LIVE_SECONDS: Final = 12.0
_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
_HERE: Final = Path(__file__).resolve().parent


def has_nginx() -> bool:
    return nginx_binary() is not None and _MODULE.exists()


def nginx_binary() -> str | None:
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin")


def ingest_url(app: str, rtmp_port: int) -> str:
    """Where to push to for one of APPS. FFmpeg's listener takes one stream a port, so each app has its own."""
    port = rtmp_port if has_nginx() else rtmp_port + APPS.index(app)
    return f"rtmp://127.0.0.1:{port}/{app}"


def nginx_conf(home: Path, rtmp_port: int, record: bool) -> str:
    apps = "\n".join(_application(home, app, record) for app in APPS)
    return f"""
load_module {_MODULE};
user {_user()};
worker_processes 1;
daemon off;
pid {_quoted(home / "nginx.pid")};
error_log {_quoted(home / "error.log")} warn;
events {{ worker_connections 512; }}
rtmp {{
  access_log off;
  server {{
    listen 127.0.0.1:{rtmp_port};
    chunk_size 4096;
{apps}
  }}
}}
"""


def _application(home: Path, app: str, record: bool) -> str:
    path = _quoted(home / "record" / app)
    recording = f"record all; record_path {path}; record_unique on;" if record else "record off;"
    return f"""    application {app} {{
      live on;
      {recording}
      hls on; hls_path {_quoted(home / "hls" / app)}; hls_fragment 2s; hls_playlist_length 12s;
    }}"""


def _quoted(path: Path) -> str:
    """A path as one word of nginx.conf."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _user() -> str:
    return getpass.getuser()


def _nginx(home: Path, rtmp_port: int, record: bool) -> list[Child]:
    conf = home / "nginx.conf"
    conf.write_text(nginx_conf(home, rtmp_port, record))
    argv = [str(nginx_binary()), "-p", str(home), "-e", str(home / "error.log"), "-c", str(conf)]
    return [Child("nginx", argv, {}, home)]


def _listeners(home: Path, rtmp_port: int, ffmpeg: str) -> list[Child]:
    """FFmpeg listening, one a platform, started again by the supervisor whenever a publisher leaves."""
    return [Child(app, _listener(home, app, rtmp_port + n, ffmpeg), {}, home) for n, app in enumerate(APPS)]


def _listener(home: Path, app: str, port: int, ffmpeg: str) -> list[str]:
    hls = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "6", "-hls_flags", "delete_segments"]
    source = ["-listen", "1", "-f", "flv", "-i", f"rtmp://127.0.0.1:{port}/{app}"]
    return [ffmpeg, "-hide_banner", "-nostdin", *source, "-c", "copy", *hls, str(home / "hls" / app / "live.m3u8")]


_STATIC: Final = _HERE.parent / "static"
FILES: Final = {
    "/": (_HERE / "platform.html", "text/html; charset=utf-8"),
    "/hls.js": (_STATIC / "vendor" / "hls.js" / "hls.min.js", "text/javascript"),
    "/logo.svg": (_STATIC / "img" / "logo.svg", "image/svg+xml"),
    "/tokens.css": (_STATIC / "css" / "tokens.css", "text/css"),
}


class Page(http.server.SimpleHTTPRequestHandler):
    """The watch page, the HLS files, the player's script and a list of what is live."""

    def do_GET(self) -> None:
        path = urllib.parse.urlparse(self.path).path
        if path in FILES:
            self._send(*FILES[path])
        elif path == "/live.json":
            self._send_bytes(json.dumps(live(Path(self.directory))).encode(), "application/json")
        else:
            super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def _send(self, file: Path, kind: str) -> None:
        if not file.exists():
            self.send_error(404)
            return
        self._send_bytes(file.read_bytes(), kind)

    def _send_bytes(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: a player asks every second."""


def live(home: Path) -> list[dict[str, str]]:
    """The streams that wrote a segment lately: app, name and the address of the playlist."""
    oldest = time.time() - LIVE_SECONDS
    lists = (path for app in APPS for path in sorted((home / "hls" / app).glob("*.m3u8")))
    return [
        {"app": path.parent.name, "name": path.stem, "url": f"/hls/{path.parent.name}/{path.name}"}
        for path in lists
        if path.stat().st_mtime > oldest
    ]


def make_folders(home: Path) -> None:
    """Playlists of an earlier run go: they would count as live for a while."""
    shutil.rmtree(home / "hls", ignore_errors=True)
    for folder in ("hls", "record"):
        for app in APPS:
            (home / folder / app).mkdir(parents=True, exist_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A platform to stream to, on loopback.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--rtmp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--ffmpeg", default="ffmpeg")
    args = parser.parse_args()
    make_folders(args.home)
    supervisor = Supervisor(args.home / "logs")
    home = args.home.resolve()
    children = (
        _nginx(home, args.rtmp_port, args.record) if has_nginx() else _listeners(home, args.rtmp_port, args.ffmpeg)
    )
    try:
        for child in children:
            supervisor.start(child)
        _serve(home, args.http_port)
        wait_for_the_end()
    finally:
        supervisor.stop(limit_s=3.0)


def _serve(home: Path, port: int) -> None:
    handler = functools.partial(Page, directory=str(home))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


if __name__ == "__main__":
    end_on_signals()
    with contextlib.suppress(KeyboardInterrupt):
        main()
