# Where everything is, and what all parts use.
BASE=/srv/ezstream
CURRENT=$BASE/current
PREVIOUS=$BASE/previous
ETC=/etc/ezstream-control
# Beside $ETC: Redis must get there too.
REDIS_TLS=/etc/ezstream-redis
REDIS_MAIN=/etc/redis/redis.conf
REDIS_CONF=/etc/redis/ezstream.conf
REDIS_SOCKET=/run/redis/redis-server.sock
REDIS_PORT=6380
NGINX=/etc/nginx
UNITS=/etc/systemd/system
COMMAND=/usr/local/sbin/ezstream
SETTINGS=$ETC/env
DATA=/var/lib/ezstream
BACKUPS=/var/backups/ezstream
OWNER=ezstream-control
HEALTH_LIMIT_S=60

say() { printf '%s\n' "── $*"; }
fail() { printf 'ezstream: %s\n' "$*" >&2; exit 1; }
need_root() { [ "$(id -u)" = 0 ] || fail "this needs root: sudo $0 …"; }
need_installed() { [ -e "$CURRENT/manage.py" ] && [ -e "$SETTINGS" ] || fail "EZStream is not installed here: $0 install --host NAME"; }

# One of these verbs at a time: two would work on the same database and links.
alone() {
  mkdir -p "$BASE"
  exec 9>"$BASE/lock"
  flock -n 9 || fail "another install, upgrade, rollback, backup or restore is running here"
  "$@"
}

absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$HERE" "$1" ;; esac; }
random_word() { python3 -c 'import secrets; print(secrets.token_hex(24))'; }

# A command as EZStream's own user, with its settings, in a release. Children do not keep the lock.
in_release() (
  release=$1; shift
  command install -d -o "$OWNER" -g "$OWNER" /run/ezstream
  set -a
  # shellcheck source=/dev/null
  . "$SETTINGS"
  set +a
  HOME=$DATA; export HOME
  cd "$release"
  exec runuser -u "$OWNER" -- "$@" 9>&-
)
manage() { release=$1; shift; in_release "$release" .venv/bin/python manage.py "$@"; }

setting() ( set +u; unset "$1"; . "$SETTINGS"; eval "printf '%s' \"\${$1}\"" )

# A line of the settings gets another value, in quotes that the shell and systemd read alike: without, `&` and `;` would end
# it for the shell. It goes by standard input: a process's arguments can be seen by everybody.
set_setting() {
  printf '%s' "$2" | python3 -c '
import pathlib, re, sys
name, path, value = sys.argv[1], pathlib.Path(sys.argv[2]), sys.stdin.read()
text = path.read_text()
quoted = re.sub(r"([\"\\`$])", r"\\\1", value)
line = f"{name}=\"{quoted}\""
found = re.compile(rf"(?m)^#?{re.escape(name)}=.*$")
text = found.sub(lambda _: line, text, count=1) if found.search(text) else f"{text}{line}\n"
part = path.with_name(path.name + ".part")
part.touch(0o600)
part.write_text(text)
part.replace(path)
' "$1" "$SETTINGS"
}

# systemd and these scripts read them as root. nginx, which is in the group of media, may not.
close_settings() {
  chown root:root "$ETC" "$SETTINGS" && chmod 0711 "$ETC" && chmod 0600 "$SETTINGS"
}
