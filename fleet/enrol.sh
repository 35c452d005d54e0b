
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C.UTF-8

# ---- what was made so far, newest first: undone in this order
ez_made=
ez_step='begin'
ez_registered=
ez_tmp=

ez_say() { printf '%s\n' "EZStream: $*"; }

ez_stop() {
  ez_say "$*" >&2
  exit 1
}

# WHAT FILE [OPTION…]: asks the control plane; prints the HTTP status. The address holds the token: it goes in by a file
# descriptor, not by an argument that everybody on this server could read.
ez_ask() {
  ez_what=$1 ez_into=$2
  shift 2
  printf 'url = "%s/%s"\n' "$EZ_BASE" "$ez_what" |
    curl --config - --silent --proto "$EZ_PROTOCOLS" --connect-timeout 20 --max-time 180 \
      ${EZ_SITE_CA:+--cacert "$ez_tmp/site-ca"} --output "$ez_into" --write-out '%{http_code}' "$@" || true
}

ez_quietly() {
  "$@" >>"$ez_tmp/log" 2>&1 </dev/null
}

ez_check() {
  ez_step='look at the system'
  [ "$(id -u)" = 0 ] || ez_stop 'run this as root: … | sudo sh'
  command -v apt-get >/dev/null || ez_stop 'this takes Debian 12 or newer, or Ubuntu 24.04 or newer (there is no apt-get)'
  [ -d /run/systemd/system ] || ez_stop 'this takes a server that runs systemd'
  case $(uname -m) in
    x86_64 | aarch64) ;;
    *) ez_stop "this takes an amd64 or arm64 server, this one is $(uname -m)" ;;
  esac
  [ ! -e "$EZ_ENVIRONMENT" ] || ez_stop "an agent is installed here already ($EZ_ENVIRONMENT): provision it from the console instead"
  ez_tmp=$(mktemp -d)
  chmod 700 "$ez_tmp"
  printf '%s' "$EZ_SITE_CA" >"$ez_tmp/site-ca"
}

ez_install() {
  ez_step='install packages'
  ez_say 'installing packages: this may take some minutes'
  ez_had_nginx=$(command -v nginx || true)
  ez_quietly ez_lists
  ez_quietly ez_packages
  # nginx's welcome page came with the package: an nginx that was here before is left alone
  [ -n "$ez_had_nginx" ] || ez_quietly systemctl disable --now nginx.service
  /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    ez_stop 'this takes Python 3.11 or newer: Debian 12, Ubuntu 24.04'
}

ez_place() {
  ez_step='make the user and the directories'
  for ez_each in "$EZ_ETC" "$EZ_HOME" "$EZ_NGINX_ETC" "$EZ_FOLDER"; do
    [ -e "$ez_each" ] || ez_made="directory:$ez_each $ez_made"
  done
  if ! getent passwd "$EZ_USER" >/dev/null; then
    ez_made="$ez_made user:$EZ_USER"
    ez_quietly ez_user
  fi
  ez_quietly ez_directories
  ez_quietly ez_folder
}

ez_fetch() {
  ez_step='fetch the agent'
  ez_say 'fetching the agent'
  ez_status=$(ez_ask agent "$ez_tmp/agent")
  [ "$ez_status" = 200 ] || ez_stop "the agent could not be fetched (HTTP $ez_status)"
  echo "$EZ_SHA256  $ez_tmp/agent" | sha256sum -c --quiet - >/dev/null 2>&1 || ez_stop 'the agent that came is not the one that was meant (SHA-256)'
  [ -e "$EZ_BUNDLE" ] || ez_made="file:$EZ_BUNDLE $ez_made"
  install -m 644 -o root -g root "$ez_tmp/agent" "$EZ_BUNDLE"
  ez_quietly ez_swap
}

ez_register() {
  ez_step='register'
  ez_say 'registering'
  ez_name=$(uname -n | tr -cd 'A-Za-z0-9.-' | cut -c 1-80)
  ez_status=$(umask 077 && ez_ask register "$ez_tmp/answer" --data-urlencode "hostname=$ez_name")
  if [ "$ez_status" != 200 ]; then
    [ "$ez_status" = 000 ] || [ ! -s "$ez_tmp/answer" ] || ez_stop "$(head -c 300 "$ez_tmp/answer" | tr -cd '[:print:]')"
    ez_stop "registering failed (HTTP $ez_status)"
  fi
  ez_registered=yes
  for ez_each in $EZ_ENVIRONMENT $EZ_AUTHORITIES; do ez_made="file:$ez_each $ez_made"; done
  ez_quietly ez_files
  chmod 600 "$ez_tmp/answer"
  chown "$EZ_USER:$EZ_USER" "$ez_tmp/answer"
  mv -f "$ez_tmp/answer" "$EZ_ENVIRONMENT"
}

ez_try() {
  ez_step='have the agent test the server'
  ez_say 'testing'
  ez_self_test >"$ez_tmp/tested" 2>>"$ez_tmp/log" || {
    cat "$ez_tmp/tested" >>"$ez_tmp/log"
    ez_stop "the agent cannot work here: $(/usr/bin/python3 -c '
import json, sys
print("; ".join(each["message"] for each in json.load(open(sys.argv[1]))["checks"] if not each["ok"])[:300])
' "$ez_tmp/tested" 2>/dev/null || echo 'its test did not run')"
  }
}

ez_start_nginx() {
  ez_step='start nginx'
  ez_made="units:yes $ez_made"
  ez_quietly ez_nginx
}

ez_start() {
  ez_step='start'
  ez_say 'starting'
  ez_quietly ez_service
  {
    cat "$EZ_UNIT" "$EZ_ENVIRONMENT"
    printf '%s' "$EZ_BUNDLE"
    for ez_each in $EZ_AUTHORITIES; do cat "$ez_each"; done
  } | sha256sum | cut -d ' ' -f 1 >"$EZ_STAMP"
}

ez_wait() {
  ez_step='wait for the first heartbeat'
  ez_say 'waiting for the first heartbeat'
  ez_left=45
  while [ "$ez_left" -gt 0 ]; do
    ez_status=$(ez_ask state "$ez_tmp/state")
    [ "$ez_status" != 200 ] || [ "$(cat "$ez_tmp/state")" != heard ] || return 0
    ez_left=$((ez_left - 1))
    sleep 2
  done
  journalctl -u ezstream-agent --lines 20 --no-pager --output cat >>"$ez_tmp/log" 2>&1 || true
  ez_stop 'the agent runs, but is not heard: can this server reach Redis?'
}

ez_undo() {
  for ez_each in $ez_made; do
    ez_path=${ez_each#*:}
    case $ez_each in
      units:*)
        for ez_unit in $EZ_UNITS; do
          systemctl disable --now "$ez_unit"
          rm -f "${EZ_UNIT%/*}/$ez_unit"
        done
        systemctl daemon-reload
        ;;
      file:*) rm -f "$ez_path" ;;
      directory:*) rm -rf "$ez_path" ;;
      user:*) userdel "$ez_path" ;;
    esac
  done >/dev/null 2>&1 || true
  [ -e "$EZ_FOLDER/current" ] || rm -f "$EZ_FOLDER/current"
}

ez_end() {
  ez_code=$?
  trap - EXIT HUP INT TERM
  set +e
  if [ "$ez_code" != 0 ] && [ -n "$ez_tmp" ]; then
    ez_say "failed at: $ez_step" >&2
    [ ! -s "$ez_tmp/log" ] || tail -n 15 "$ez_tmp/log" >&2
    ez_say 'undoing what was done; packages stay' >&2
    ez_undo
    if [ -n "$ez_registered" ]; then
      ez_ask failed /dev/null --data-urlencode "why=$ez_step" >/dev/null
      ez_say 'for another try, make a new command in the console' >&2
    fi
  fi
  [ -z "$ez_tmp" ] || rm -rf "$ez_tmp"
  exit "$ez_code"
}

# All of it is read before anything runs: half a script, of a connection that was cut, does nothing.
ez_main() {
  trap ez_end EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  ez_check
  ez_install
  ez_place
  ez_fetch
  ez_register
  ez_start_nginx
  ez_try
  ez_start
  ez_wait
  ez_say 'this server is in the fleet'
}

ez_main
