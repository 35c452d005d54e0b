# This host's Redis. We reach it by its socket; agents by TLS, with a certificate of an authority of our own.

# A password, what it holds kept on disk, nothing thrown away, no plain port. Prints REDIS_URL.
make_redis() {
  password=$(random_word)
  command install -o redis -g redis -m 0640 /dev/null "$REDIS_CONF"
  cat >"$REDIS_CONF" <<TEXT
requirepass $password
appendonly yes
maxmemory-policy noeviction
port 0
unixsocket $REDIS_SOCKET
unixsocketperm 777
TEXT
  grep -qx "include $REDIS_CONF" "$REDIS_MAIN" || echo "include $REDIS_CONF" >>"$REDIS_MAIN"
  systemctl restart redis-server
  printf 'unix://:%s@%s' "$password" "$REDIS_SOCKET"
}

is_redis_ours() { [ -e "$REDIS_CONF" ] && [ "$(setting REDIS_CA_FILE)" = "$REDIS_TLS/ca.crt" ]; }

open_redis_to_agents() {
  is_redis_ours || return 0
  renew_certificates "$1"
  ! grep -q '^tls-port ' "$REDIS_CONF" || return 0
  say "opens Redis to agents, by TLS on port $REDIS_PORT"
  cat >>"$REDIS_CONF" <<TEXT
bind * -::*
tls-port $REDIS_PORT
tls-cert-file $REDIS_TLS/server.crt
tls-key-file $REDIS_TLS/server.key
tls-ca-cert-file $REDIS_TLS/ca.crt
tls-auth-clients no
TEXT
  systemctl restart redis-server
}

# As root, who alone reads the authority's key and gives Redis its own. Beside that it writes nothing that stays: files of
# root's would stand in the way of the services.
renew_certificates() (
  set -a
  # shellcheck source=/dev/null
  . "$SETTINGS"
  VAR_DIR=$(mktemp -d)
  METRICS_DIR=$VAR_DIR/metrics
  set +a
  trap 'rm -rf "$VAR_DIR"' EXIT
  PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE
  cd "$1"
  told=$(exec .venv/bin/python manage.py redis_certificates --dir "$REDIS_TLS" --owner redis 9>&-)
  say "$(printf '%s' "$told" | head -n 1)"
)

certificates() {
  need_installed
  is_redis_ours || { say "agents use a Redis that is not this host's: nothing to do"; return 0; }
  renew_certificates "$CURRENT"
}
