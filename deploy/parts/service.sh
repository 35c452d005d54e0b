# The processes of the Procfile, as units of systemd.

start() { need_installed; systemctl start ezstream.target $(instances); }
stop() { need_installed; systemctl stop ezstream.target $(instances); since=$(next_second); }
instances() { for each in $(processes "$CURRENT"); do printf 'ezstream@%s.service ' "$each"; done; }

# Those of another release, which this one does not know: they would begin again for ever.
end_others() {
  for each in $(systemctl list-units --all --plain --no-legend 'ezstream@*' | cut -d ' ' -f 1); do
    case " $(instances)" in *" $each "*) ;; *) systemctl -q disable --now "$each" || return 1 ;; esac
  done
}

# At once, but for what people see: that comes last.
restart() {
  need_installed
  systemctl -q reset-failed 'ezstream@*' 2>/dev/null || true
  systemctl restart $(instances | tr ' ' '\n' | grep -vx ezstream@web.service)
  since=$(next_second)
  systemctl restart ezstream@web.service
  systemctl start ezstream.target
}

status() {
  systemctl --no-pager --plain --no-legend --all list-units ezstream.target 'ezstream@*' postgresql.service redis-server.service nginx.service
  printf 'release: %s\n' "$(basename "$(readlink -f "$CURRENT")")"
}

# What readiness says, through nginx; fails when something is missing.
health() { ask_ready && echo; }
ask_ready() { curl -sS --fail-with-body --insecure --max-time 5 --connect-to "::127.0.0.1:" "https://$(host_name)/health/ready${1:-}"; }
host_name() { sed -n 's/^ *server_name \(.*\);$/\1/p' "$NGINX/sites-available/ezstream" | head -n 1; }

# From when on processes must have been seen: those that were ended go on being known for a while.
since=0
next_second() { echo $(($(date +%s) + 1)); }

wait_well() {
  until=$(($(date +%s) + HEALTH_LIMIT_S))
  until ask_ready "?since=$since" >/dev/null 2>&1 && is_steady; do
    [ "$(date +%s)" -lt "$until" ] && ! gives_up || { status >&2; return 1; }
    sleep 0.5
  done
}

# All have run for five seconds: one that dies at once runs for a moment each time.
is_steady() {
  systemctl show --property=ActiveEnterTimestampMonotonic --value $(instances) |
    awk -v up="$(cut -d ' ' -f 1 /proc/uptime)" 'NF && ($1 == 0 || $1 / 1e6 > up - 5) { found = 1 } END { exit found }'
}

# A process that ended as often since it was started will not be well in a minute either.
gives_up() {
  systemctl show --property=NRestarts --value $(instances) | awk '$1 >= 3 { found = 1 } END { exit !found }'
}
