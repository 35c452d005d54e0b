# An authority of our own vouches for what agents see: this host's Redis, and a site that was given no certificate.

is_site_ours() { [ "$(setting SITE_CA_FILE)" = "$REDIS_TLS/ca.crt" ]; }
is_authority_used() { is_redis_ours || is_site_ours; }

# As root, who alone reads the authority's key and gives Redis its own. Beside that it writes nothing that stays: files of
# root's would stand in the way of the services.
renew_certificates() {
  told=$(ask_for_certificates "$1")
  say "$(printf '%s' "$told" | head -n 1)"
  show_certificate
}

ask_for_certificates() (
  set -a
  # shellcheck source=/dev/null
  . "$SETTINGS"
  VAR_DIR=$(mktemp -d)
  METRICS_DIR=$VAR_DIR/metrics
  set +a
  trap 'rm -rf "$VAR_DIR"' EXIT
  PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE
  cd "$1"
  set -- --dir "$REDIS_TLS"
  ! is_redis_ours || set -- "$@" --owner redis
  ! is_site_ours || set -- "$@" --name "${ALLOWED_HOSTS%%,*}"
  .venv/bin/python manage.py redis_certificates "$@" 9>&-
)

# One certificate for both: a site without one of its own is a trial, and has the same name.
show_certificate() {
  is_site_ours && ! cmp -s "$REDIS_TLS/server.crt" "$ETC/tls.crt" || return 0
  command install -m 0600 "$REDIS_TLS/server.key" "$ETC/tls.key"
  command install -m 0644 "$REDIS_TLS/server.crt" "$ETC/tls.crt"
  ! systemctl -q is-active nginx || systemctl reload nginx
}

certificates() {
  need_installed
  is_authority_used || { say "agents see certificates that were not made here: nothing to do"; return 0; }
  renew_certificates "$CURRENT"
}
