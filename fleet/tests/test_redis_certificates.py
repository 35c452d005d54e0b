"""Certificates of our own, shown by a real redis-server and judged by real agents."""

import socket
import ssl
from datetime import timedelta

import pytest
import redis
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from agent.tests.servers import AgentProcess, Ear, RedisServer
from fleet import redis_acl
from fleet.redis_certificates import BadFilesError, Folder, renew
from kit import certificates
from kit.certificates import BadNameError
from lab.ports import free_port
from lab.processes import wait_until
from ops import health, redis_health

NOW = timezone.now()
DAY = timedelta(days=1)
VPS = 7


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "tls")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.path.iterdir()}


# ------------------------------------------------------------------------------------------------ files


def test_a_second_time_changes_nothing(folder):
    first = renew(folder, ["redis.example.com"], NOW)
    assert first.made == ["ca.key", "server.key", "ca.crt", "server.crt"]
    before = contents(folder)
    assert renew(folder, ["redis.example.com"], NOW + DAY).made == []
    assert renew(folder, [], NOW + DAY).names == first.names
    assert contents(folder) == before


def test_keys_are_for_their_owner_alone(folder):
    renew(folder, [], NOW)
    modes = [path.stat().st_mode & 0o777 for path in (folder.key, folder.ca_key, folder.certificate)]
    assert modes == [0o600, 0o600, 0o644]
    folder.key.chmod(0o644)
    renew(folder, [], NOW)
    assert folder.key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8::7]", "2001:db8::7"),
        ("2001:db8:0:0::7", "2001:db8::7"),
        ("Redis.Example.COM.", "redis.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_names_are_held_as_they_are_looked_for(folder, name, held):
    assert held in renew(folder, [name], NOW).names
    assert set(renew(folder, [], NOW).names) == {"127.0.0.1", "::1", "localhost", held}


@pytest.mark.parametrize(
    "name", ["", "a b", "redis.example.com:6380", "*.example.com", "x/../y", "a" * 70, "a..b", "'"]
)
def test_what_is_no_name_is_refused(folder, name):
    with pytest.raises(BadNameError):
        renew(folder, [name], NOW)


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_refused(text):
    try:
        (name,) = certificates.plain_names([text])
    except BadNameError:
        return
    certificates._general(name)


def test_a_new_name_makes_a_new_certificate_and_keeps_the_rest(folder):
    renew(folder, ["a.example"], NOW)
    outcome = renew(folder, ["b.example"], NOW)
    assert outcome.made == ["server.crt"]
    assert {"a.example", "b.example"} <= set(outcome.names)


@pytest.mark.parametrize(
    ("later", "made"),
    [
        (timedelta(days=397 - 61), []),
        (timedelta(days=397 - 59), ["server.crt"]),
        (timedelta(days=500), ["server.crt"]),
        (timedelta(days=3650 - 729), ["ca.crt", "server.crt"]),
    ],
)
def test_what_ends_soon_is_renewed(folder, later, made):
    renew(folder, [], NOW)
    assert renew(folder, [], NOW + later).made == made


def test_who_trusts_the_old_authority_trusts_what_the_new_one_signs(folder):
    renew(folder, [], NOW)
    old = certificates.read_certificate(folder.ca.read_bytes())
    renew(folder, [], NOW + timedelta(days=3000))
    new = certificates.read_certificate(folder.ca.read_bytes())
    assert old != new
    assert certificates.is_vouched_for(certificates.read_certificate(folder.certificate.read_bytes()), old)


@pytest.mark.parametrize("lost", ["ca.key", "ca.crt", "server.key", "server.crt"])
def test_what_is_lost_is_made_again_with_what_hangs_on_it(folder, lost):
    renew(folder, ["a.example"], NOW)
    (folder.path / lost).unlink()
    renew(folder, ["a.example"], NOW)
    certificate = certificates.read_certificate(folder.certificate.read_bytes())
    assert certificates.is_of(certificate, certificates.read_key(folder.key.read_bytes()))
    assert certificates.is_vouched_for(certificate, certificates.read_certificate(folder.ca.read_bytes()))
    assert renew(folder, ["a.example"], NOW).made == []


@pytest.mark.parametrize("name", ["ca.key", "ca.crt", "server.key", "server.crt"])
def test_what_is_not_ours_is_named_and_left_alone(folder, name):
    folder.path.mkdir()
    (folder.path / name).write_bytes(b"somebody's")
    with pytest.raises(BadFilesError, match=name):
        renew(folder, [], NOW)
    assert (folder.path / name).read_bytes() == b"somebody's"


# ------------------------------------------------------------------------------------------------ a real Redis


class TlsRedis:
    """A redis-server that shows the certificate of a folder, with one user of an agent."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        lines = [line.split(" ", 1) for line in folder.redis_conf(self.port)]
        options = [part for name, value in lines for part in (f"--{name}", value)]
        self.plain = RedisServer(*options)

    def __enter__(self):
        self.plain.__enter__()
        with redis.Redis.from_url(self.plain.url) as client:
            words = redis_acl.rules(VPS, [redis_acl.digest("pw")])
            client.execute_command("ACL SETUSER", redis_acl.user_name(VPS), *words)
        return self

    def __exit__(self, *exc):
        self.plain.__exit__(*exc)

    def url(self, host="127.0.0.1"):
        return f"rediss://vps-{VPS}:pw@{host}:{self.port}"


@pytest.fixture
def run_agent(tmp_path):
    agents = []

    def run(url, ca):
        agent = AgentProcess(url, tmp_path / "work", "127.0.0.1:1", VPS, EZSTREAM_REDIS_CA_FILE=str(ca))
        agents.append(agent)
        agent.start()
        return agent

    yield run
    for agent in agents:
        agent.clear_away()


def said(agent):
    return [line.get("message", "") for line in agent.log()]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_agent_with_the_right_authority_is_heard(folder, run_agent, host):
    renew(folder, [], NOW)
    with TlsRedis(folder) as server:
        ear = Ear(server.plain.url)
        agent = run_agent(server.url(host), folder.ca)
        ear.wait_for(lambda message: message.vps_id == VPS)
        agent.end()
        ear.close()


def another_authority(folder, tmp_path):
    renew(folder, [], NOW)
    other = Folder(tmp_path / "other")
    renew(other, [], NOW)
    return other.ca


def expired(folder, tmp_path):
    renew(folder, [], NOW - timedelta(days=398))
    return folder.ca


def another_name(folder, tmp_path):
    renew(folder, [], NOW)
    ca, ca_key = (
        certificates.read_certificate(folder.ca.read_bytes()),
        certificates.read_key(folder.ca_key.read_bytes()),
    )
    key = certificates.read_key(folder.key.read_bytes())
    shown = certificates.server(key, ["elsewhere.example"], ca, ca_key, NOW)
    folder.certificate.write_bytes(certificates.certificate_pem(shown))
    return folder.ca


@pytest.mark.parametrize(
    ("arranged", "words"),
    [
        (another_authority, "certificate is not good (self"),
        (expired, "certificate is not good (certificate has expired)"),
        (another_name, "certificate is not good (IP address mismatch"),
    ],
)
def test_an_agent_refuses_and_says_why(folder, run_agent, tmp_path, arranged, words):
    ca = arranged(folder, tmp_path)
    with TlsRedis(folder) as server:
        ear = Ear(server.plain.url)
        agent = run_agent(server.url(), ca)
        wait_until(lambda: any(words in line for line in said(agent)), words, 15)
        assert "pw@" not in agent.log_path.read_text()
        ear.listen()
        assert ear.heard == []
        agent.end()
        ear.close()


def test_redis_shows_the_new_one_without_being_started_anew(folder, settings, capsys):
    renew(folder, [], NOW - timedelta(days=350))
    with TlsRedis(folder) as server:
        settings.AGENT_REDIS_URL = server.plain.url
        settings.AGENT_REDIS_PUBLIC_URL = f"rediss://127.0.0.1:{server.port}"
        before = certificates.served("127.0.0.1", server.port, 5)
        call_command("redis_certificates", dir=folder.path)
        out = capsys.readouterr().out
        assert "made server.crt" in out
        assert "Redis uses it from now on." in out
        assert f"tls-port {server.port}" in out
        after = certificates.served("127.0.0.1", server.port, 5)
        assert certificates.lasts(after, NOW) > certificates.lasts(before, NOW) + 300 * DAY
        context = ssl.create_default_context(cafile=str(folder.ca))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        plain = socket.create_connection(("127.0.0.1", server.port))
        context.wrap_socket(plain, server_hostname="localhost").close()
        call_command("redis_certificates", dir=folder.path)
        assert "all is well" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (300, None),
        (397 - 10, "the certificate agents see expires in 9 days: manage.py redis_certificates"),
        (398, "the certificate agents see has expired: manage.py redis_certificates"),
    ],
)
def test_the_health_check_and_readiness_know(folder, settings, db, age, words):
    renew(folder, [], NOW - timedelta(days=age))
    with TlsRedis(folder) as server:
        settings.AGENT_REDIS_PUBLIC_URL = f"rediss://127.0.0.1:{server.port}"
        found = [each.words for each in redis_health.look(timezone.now()) if "certificate" in each.words]
        assert found == ([words] if words else [])
        look = health.look()
        assert "certificate" in look.names
        assert look.reasons.get("certificate") == ("expired: no agent can connect" if age > 397 else None)


def test_an_address_that_does_not_answer_from_here_says_nothing_of_the_certificate(settings, db):
    settings.AGENT_REDIS_PUBLIC_URL = "rediss://127.0.0.1:1"
    assert not [each for each in redis_health.look(timezone.now()) if "certificate" in each.words]
    assert "certificate" not in health.look().reasons


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_takes_the_name_from_the_settings(folder, settings, capsys):
    settings.AGENT_REDIS_PUBLIC_URL = "rediss://[2001:db8::7]:6381"
    settings.AGENT_REDIS_URL = "redis://127.0.0.1:1"
    call_command("redis_certificates", dir=folder.path, name=["192.0.2.7"])
    out = capsys.readouterr().out
    assert "127.0.0.1, 192.0.2.7, 2001:db8::7, ::1, localhost" in out
    assert "tls-port 6381" in out
    assert "Redis was not told" in out


@pytest.mark.parametrize(
    ("options", "words"), [({"name": ["a b"]}, "neither"), ({"owner": "nobody-of-that-name"}, "cannot write there")]
)
def test_the_command_says_what_is_wrong(folder, options, words):
    with pytest.raises(CommandError, match=words):
        call_command("redis_certificates", dir=folder.path, **options)


def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot write there"):
        call_command("redis_certificates", dir=tmp_path / "file" / "below")
