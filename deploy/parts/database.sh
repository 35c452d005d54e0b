# PostgreSQL: where the settings say it is. Its password goes by environment, never by argument.

# A command with PGHOST, PGUSER, PGPASSWORD, PGSSLMODE … as DATABASE_URL has them.
with_database() (
  told=$(setting DATABASE_URL | python3 -c '
import shlex, sys
from urllib.parse import parse_qsl, unquote, urlsplit
url = urlsplit(sys.stdin.read())
found = {"PGHOST": url.hostname, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password}
found["PGDATABASE"] = url.path.lstrip("/")
found = {name: unquote(str(value)) for name, value in found.items() if value}
known = ("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout")
found |= {f"PG{name.upper()}": value for name, value in parse_qsl(url.query) if name in known}
for name, value in found.items():
    print(f"export {name}={shlex.quote(value)}")
') || exit 1
  eval "$told"
  exec "$@" 9>&-
)

as_postgres() ( cd / && runuser -u postgres -- "$@" 9>&- )

# The role and database of our own, on this host's PostgreSQL. Prints DATABASE_URL.
make_database() {
  password=$(random_word)
  exists=$(as_postgres psql -tAc "SELECT 1 FROM pg_roles WHERE rolname = 'ezstream'")
  [ "$exists" ] || as_postgres psql -qc 'CREATE ROLE ezstream LOGIN'
  printf "ALTER ROLE ezstream PASSWORD '%s'" "$password" | as_postgres psql -q
  exists=$(as_postgres psql -tAc "SELECT 1 FROM pg_database WHERE datname = 'ezstream'")
  [ "$exists" ] || as_postgres createdb --owner=ezstream ezstream
  printf 'postgres://ezstream:%s@127.0.0.1/ezstream' "$password"
}

dump_database() { with_database pg_dump --format=custom --no-owner --no-privileges --file="$1"; }

# All or nothing: what was there is replaced in one transaction, committed only when the dump was read to its end.
load_database() {
  loaded=$({
    echo 'BEGIN; DROP SCHEMA public CASCADE; CREATE SCHEMA public;'
    pg_restore --no-owner --no-privileges --file=- "$1" && printf 'COMMIT;\n\\echo yes\n'
  } | with_database psql -qX -v ON_ERROR_STOP=1 -o /dev/null)
  [ "$loaded" ]
}
