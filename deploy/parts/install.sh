# From a bare host to a control plane that answers. Every step looks first: a second run changes nothing.

install() {
  host="" certificate="" key="" is_told_anew=""
  while [ $# -gt 0 ]; do
    case $1 in
      --host) host=${2:?} ;;
      --certificate) certificate=$(absolute "${2:?}") ;;
      --key) key=$(absolute "${2:?}") ;;
      *) fail "install does not know «$1»" ;;
    esac
    shift 2
  done
  [ "$host" ] || [ ! -e "$SETTINGS" ] || host=$(setting ALLOWED_HOSTS | cut -d, -f1)
  check_host_name "$host"
  [ -z "$certificate" ] || [ -r "$certificate" ] || fail "cannot read $certificate"
  [ -z "$key" ] || [ -r "$key" ] || fail "cannot read $key"
  install_packages
  make_owner
  make_settings "$host"
  # Another source over an installation is an upgrade.
  release=$(readlink -e "$CURRENT") || release=$(make_release)
  prepare_release "$release"
  take_certificate "$host" "$certificate" "$key"
  ! is_authority_used || renew_certificates "$release"
  open_redis_to_agents
  manage "$release" migrate --no-input -v 0
  use_release "$release"
  install_nginx "$host"
  are_units_of_current || { install_units; is_told_anew=yes; }
  if [ "$is_told_anew" ]; then restart; else start; fi
  wait_well || fail "it is installed but not well: $0 status; journalctl -u 'ezstream@*'"
  say "EZStream runs: https://$host/ (an operator: ezstream manage createsuperuser)"
}

check_host_name() {
  case $1 in
    "") fail "say under which name people reach it: --host stream.example.com" ;;
    *[!A-Za-z0-9.-]* | -* | .*) fail "«$1» is no host name" ;;
  esac
}

wanted_packages() {
  echo python3 python3-venv ffmpeg nginx openssl curl rsync ca-certificates postgresql-client
  [ "${DATABASE_URL:-}" ] || echo postgresql
  [ "${REDIS_URL:-}" ] || echo redis-server
}

install_packages() {
  missing=""
  for package in $(wanted_packages); do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
  done
  [ "$missing" ] || return 0
  say "installs$missing"
  command -v apt-get >/dev/null || fail "this is no Debian or Ubuntu; install by hand:$missing"
  DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
  limits="-o Acquire::http::Timeout=30 -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300"
  # shellcheck disable=SC2086
  apt-get -qq $limits update >/dev/null && apt-get -qq $limits install -y --no-install-recommends $missing >/dev/null 9>&- ||
    fail "apt-get could not install$missing"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed"
}

make_owner() {
  id "$OWNER" >/dev/null 2>&1 || useradd --system --home-dir "$DATA" --shell /usr/sbin/nologin "$OWNER"
  command install -d -o "$OWNER" -g "$OWNER" -m 0750 "$DATA" "$DATA/media"
  command install -d -m 0755 "$BASE" "$BASE/releases" "$BASE/venvs"
  command install -d -m 0711 "$ETC"
  # nginx sends media from the disk itself.
  usermod -aG "$OWNER" www-data
}

make_settings() {
  [ ! -e "$SETTINGS" ] || { close_settings; return 0; }
  say "writes $SETTINGS"
  command install -m 0600 "$SOURCE/deploy/env.example" "$SETTINGS.new"
  final=$SETTINGS
  SETTINGS=$SETTINGS.new
  # First all that can fail: in a pipe or an argument it would not be noticed.
  secret=$(python3 -c 'import secrets; print(secrets.token_urlsafe(50))')
  field_key=$("$SOURCE/bin/new-field-key")
  database=${DATABASE_URL:-$(make_database)}
  redis=${REDIS_URL:-$(make_redis)}
  set_setting SECRET_KEY "$secret"
  set_setting FIELD_KEYS "$field_key"
  set_setting SITE_URL "https://$1"
  set_setting ALLOWED_HOSTS "$1"
  set_setting VAR_DIR "$DATA"
  set_setting METRICS_DIR /run/ezstream/metrics
  set_setting USE_X_ACCEL 1
  set_setting DEFAULT_FROM_EMAIL "EZStream <noreply@$1>"
  set_setting EMAIL_URL "${EMAIL_URL:-consolemail://}"
  set_setting DATABASE_URL "$database"
  set_setting REDIS_URL "$redis"
  if [ -z "${REDIS_URL:-}" ]; then
    set_setting AGENT_REDIS_PUBLIC_URL "rediss://$1:$REDIS_PORT/0"
    set_setting REDIS_CA_FILE "$REDIS_TLS/ca.crt"
  fi
  SETTINGS=$final
  mv "$SETTINGS.new" "$SETTINGS"
}

are_units_of_current() { [ "$(readlink "$UNITS/ezstream.of" || true)" = "$(readlink -e "$CURRENT")" ]; }

# Fails when a step does: whoever asks for that has no `set -e`.
install_units() {
  command install -m 0644 "$CURRENT"/deploy/ezstream@.service "$CURRENT"/deploy/ezstream.target "$CURRENT"/deploy/ezstream-certificates.* "$UNITS/" &&
    ln -sfn "$CURRENT/deploy/ezstream" "$COMMAND" &&
    systemctl daemon-reload &&
    systemctl -q enable ezstream.target $(instances) &&
    end_others &&
    systemctl -q enable --now ezstream-certificates.timer &&
    ln -sfn "$(readlink -e "$CURRENT")" "$UNITS/ezstream.of"
}

take_certificate() {
  if [ "$2" ]; then
    command install -m 0644 "$2" "$ETC/tls.crt" && command install -m 0600 "${3:?--key FILE goes with --certificate}" "$ETC/tls.key"
    ! is_site_ours || say_who_signed ""
  elif [ ! -e "$ETC/tls.crt" ]; then
    say "the site gets a certificate of our own: browsers will warn. With a real one: install --host $1 --certificate FILE --key FILE"
    say_who_signed "$REDIS_TLS/ca.crt"
  fi
}

# Agents are told, for no system knows an authority of ours: processes must read the settings again.
say_who_signed() {
  set_setting SITE_CA_FILE "$1"
  is_told_anew=yes
}

# One that nginx refuses is taken back: it would keep nginx from starting when the host does.
install_nginx() {
  site=$NGINX/sites-available/ezstream enabled=$NGINX/sites-enabled/ezstream
  sed "s/@HOST@/$1/g" "$CURRENT/deploy/nginx-site.conf" >"$site.new" || return 1
  [ ! -e "$site" ] || cp "$site" "$site.old" || return 1
  mv "$site.new" "$site" && ln -sfn ../sites-available/ezstream "$enabled"
  if ! nginx -qt; then
    mv "$site.old" "$site" 2>/dev/null || rm "$enabled" "$site"
    say "nginx refuses its configuration; it runs on with the old one" >&2
    return 1
  fi
  rm -f "$site.old"
  systemctl -q enable nginx && systemctl reload-or-restart nginx
}
