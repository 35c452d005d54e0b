"""A playout of the poorest kind, for tests of who looks after it: speaks the control socket, pushes nothing.

Its manners come from RUN_DIR/manners: `deaf` ignores orders and SIGTERM, `mute` never answers an order but the stop,
`dies` ends at once, `finishes` writes its exit.json and ends. Orders go down in RUN_DIR/orders as they come.
"""

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path


def answer(run_dir: Path, order: dict, manners: str) -> dict:
    if order["order"] == "stop" and manners != "deaf":
        finish(run_dir, "stopped")
    if order["order"] == "watch":
        status = {"phase": "playing", "item_id": 1, "file_id": 1, "destinations": []}
        return {"ok": manners != "deaf", "status": status}
    with (run_dir / "orders").open("a") as file:
        file.write(f"{order['order']} {order.get('item_id', '')}".strip() + "\n")
    if manners == "mute":
        threading.Event().wait()
    if order.get("item_id") == 404:
        return {"ok": False, "error": "there is no such item in the list"}
    return {"ok": manners != "deaf", "item_id": order.get("item_id")}


def finish(run_dir: Path, reason: str) -> None:
    (run_dir / "exit.json").write_text(json.dumps({"code": 0, "reason": reason}))
    os._exit(0)


def serve(connection: socket.socket, run_dir: Path, manners: str) -> None:
    with connection, connection.makefile("rwb") as stream:
        for raw in stream:
            stream.write(json.dumps(answer(run_dir, json.loads(raw), manners)).encode() + b"\n")
            stream.flush()


def main() -> None:
    run_dir = Path(sys.argv[-1])
    manners = (run_dir / "manners").read_text() if (run_dir / "manners").exists() else ""
    print("agent.playout says: hello", "resumed" if "--resume" in sys.argv else "fresh", flush=True)
    if manners == "dies":
        sys.exit(1)
    if manners == "finishes":
        finish(run_dir, "finished")
    if manners == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (run_dir / "control.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run_dir / "control.sock"))
        listener.listen()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, run_dir, manners), daemon=True).start()


main()
