# This host's Redis. We reach it by its socket; agents by TLS.

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
  is_redis_ours && ! grep -q '^tls-port ' "$REDIS_CONF" || return 0
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
