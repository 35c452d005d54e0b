"""The house rules that a machine can hold: who may import whom, who writes what, what leaves how. By `ast`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DJANGO_APPS = ("accounts", "media_library", "fleet", "streams", "hls", "live", "notify", "ops")
OURS = {"agent", "kit", "ezstream", *DJANGO_APPS}

MAY_IMPORT = {
    "agent": set(),
    "kit": set(),
    "accounts": {"kit"},
    "media_library": {"kit", "accounts"},
    "fleet": {"kit", "accounts", "agent.protocol"},
    "streams": {"kit", "accounts", "media_library", "fleet", "agent.protocol"},
    "hls": {"kit", "accounts", "media_library", "fleet", "streams", "agent.protocol"},
    "live": {"kit", "accounts", "media_library", "fleet", "streams", "agent.protocol"},
    "notify": OURS - {"agent", "ezstream"},
    "ops": OURS - {"agent", "ezstream"} | {"agent.protocol"},
    "ezstream": OURS - {"agent"},
}
AGENT_PACKAGES = {"redis", "requests", "urllib3"}
"""urllib3 is what requests stands on."""
ONLY_FOR_DEVELOPMENT = {"lab", "bench", "tests", "conftest"}

RANKS = {
    "models": 0, "errors": 0, "spec": 0, "user_agents": 0,
    "lifecycle": 1,
    "actions": 2, "tasks": 2, "converge": 2, "beats": 2, "inbox": 2, "listener": 2, "hanging": 2,
    "moving": 2, "evacuating": 2,
    "scheduling": 2,
    "views": 3, "api": 3, "api_destinations": 3, "api_schedule": 3, "api_shown": 3, "admin": 3, "consumers": 3,
    "moving_admin": 3, "management": 3, "urls": 3, "forms": 3, "schedule_forms": 3, "sockets": 3,
}  # fmt: skip
"""Inside an app imports go down or sideways, never up: edges → verbs and what acts by itself → state → rows."""
HELPER = 1
"""A module that is not named above: used by verbs, uses none."""

SENDERS = {
    "kit/actors.py": "the one door to the broker, after the commit",
    "fleet/commands.py": "the one door to agents",
    "streams/progress.py": "the one door to browsers",
    "streams/listener.py": "passes the batch's pokes to progress.send",
    "streams/consumers.py": "a socket's own frames",
    "fleet/provision/telling.py": "the one door to browsers that watch a provisioning",
    "fleet/provision/ssh.py": "bytes of a command's input",
}
BROAD_EXCEPTS = {
    "ops/scheduler.py": "one job that fails must not stop the others; it is logged and written in its row",
    "agent/core.py": "the loop that owns all runs outlives a bug in one turn; logged with its traceback",
    "agent/playout/playout.py": "one item must not end the stream; reported as skipped",
    "agent/playout/outputs.py": "one destination must not end the stream; reported as its state",
    "agent/playout/__main__.py": "the last guard: the agent is told why before the process ends",
}
LONGEST_FUNCTION = 40
LONGEST_FILE = 310
LONG_FILES = {
    "streams/models.py": "every row of streams in one module, which Django wants",
    "fleet/models.py": "every row of the fleet in one module, which Django wants",
    "agent/protocol.py": "every message of the wire in the one module both sides share",
    "ezstream/settings.py": "every setting in the one file that reads the environment",
}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module that ships, by its path from the root."""
    found = {}
    for package in sorted(OURS):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT)
            if not {"tests", "migrations"} & set(name.parts):
                found[str(name)] = ast.parse(path.read_text(), str(name))
    return found


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def imports(name: str) -> Iterator[str]:
    """Full dotted names: `from a import b` gives `a.b`."""
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(Path(name).parts[: -node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            yield from (f"{source}.{alias.name}" for alias in node.names)


def each_module(test):
    return pytest.mark.parametrize("name", sorted(modules()))(test)


def allowed(package: str, imported: str) -> bool:
    return any(imported == one or imported.startswith(f"{one}.") for one in MAY_IMPORT[package])


@each_module
def test_packages_import_only_what_lies_below_them(name):
    package = name.split("/")[0]
    for imported in imports(name):
        top = imported.split(".")[0]
        if top in OURS and top != package:
            assert allowed(package, imported), f"{package} must not import {imported}"


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("agent/")])
def test_the_agent_needs_only_python_and_its_two_packages(name):
    for imported in imports(name):
        top = imported.split(".")[0]
        assert top in sys.stdlib_module_names | AGENT_PACKAGES | {"agent"}, f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("agent/playout/")])
def test_the_playout_stands_alone(name):
    for imported in imports(name):
        ours = imported.startswith("agent.playout")
        assert ours or imported.split(".")[0] in sys.stdlib_module_names, f"{name} imports {imported}"


@each_module
def test_nothing_that_ships_needs_what_is_there_for_development(name):
    assert not {imported.split(".")[0] for imported in imports(name)} & ONLY_FOR_DEVELOPMENT


def rank_of(module: str) -> int:
    """The rank of `app.module…`."""
    return RANKS.get(module.split(".")[1], HELPER)


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith(DJANGO_APPS)])
def test_inside_an_app_nothing_imports_what_stands_above_it(name):
    module = name.removesuffix(".py").replace("/", ".")
    app = module.split(".")[0]
    for imported in imports(name):
        if imported.startswith(f"{app}."):
            assert rank_of(imported) <= rank_of(module), f"{name} must not import {imported}"


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith((*DJANGO_APPS, "ezstream/"))])
def test_the_status_of_a_stream_or_file_has_one_writer(name):
    if name.endswith("/lifecycle.py"):
        return
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            written = [each.attr for each in targets if isinstance(each, ast.Attribute)]
            assert "status" not in written, f"{name}:{node.lineno} writes a status"
    for call in calls(modules()[name]):
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("update", "create", "bulk_update"):
            written = [keyword.arg for keyword in call.keywords]
            about_vps = "Vps" in ast.unparse(call.func)
            assert "status" not in written or about_vps, f"{name}:{call.lineno} writes a status"


@each_module
def test_no_shell(name):
    for call in calls(modules()[name]):
        assert not any(
            keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            for keyword in call.keywords
        ), f"{name}:{call.lineno} starts a shell"
        assert ast.unparse(call.func) not in ("os.system", "os.popen"), f"{name}:{call.lineno} starts a shell"


@pytest.mark.parametrize("name", [name for name in modules() if not name.startswith("agent/")])
def test_what_leaves_the_process_leaves_by_its_door(name):
    if name in SENDERS:
        return
    for call in calls(modules()[name]):
        if isinstance(call.func, ast.Attribute) and call.func.attr in (
            "send", "send_with_options", "enqueue", "group_send", "publish",
        ):  # fmt: skip
            assert ast.unparse(call.func) == "commands.publish", f"{name}:{call.lineno} sends by itself"


@each_module
def test_broad_excepts_are_on_the_list(name):
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in ("everything", "Exception", "BaseException"):
                assert name in BROAD_EXCEPTS, f"{name}:{node.lineno} catches {caught}"


@each_module
def test_a_verb_that_is_a_transaction_is_done_once_more_when_the_database_calls_it_off(name):
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.FunctionDef):
            worn = [ast.unparse(each) for each in node.decorator_list]
            if "transaction.atomic" in worn:
                assert "again_on_conflict" in worn, f"{name}: {node.name} is not tried again"


def test_the_lists_of_exceptions_name_only_what_is_there():
    for listed in (SENDERS, BROAD_EXCEPTS, LONG_FILES):
        assert set(listed) <= set(modules())
        assert all(listed.values())


@each_module
def test_functions_and_files_stay_readable(name):
    tree = modules()[name]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{name}: {node.name} has {length} lines"
    length = max((node.end_lineno or 0 for node in tree.body), default=0)
    assert length <= LONGEST_FILE or name in LONG_FILES, f"{name} has {length} lines"


def test_the_rules_have_something_to_look_at():
    assert len(modules()) > 60
