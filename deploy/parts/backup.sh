# A backup is a directory of its own: database.dump, media/, env, VERSION, SHA256SUMS, and the
# authority agents trust at Redis. It holds the keys: keep it as safe.
KEEP_BACKUPS=7

backup() {
  need_installed
  place=$(absolute "${1:-$BACKUPS}")
  begin_backup "$place"
  copy_media "$part"
  dump_database "$part/database.dump"
  # Once more: what was deleted since the first time is there, and so is what came since.
  copy_media "$part"
  end_backup
  forget_backups "$place" "" $KEEP_BACKUPS
  say "backed up to $whole"
}

backup_database_only() {
  keep_database
  forget_backups "$BACKUPS/before-changes" "" $KEEP_BACKUPS
}

keep_database() {
  begin_backup "$BACKUPS/before-changes"
  dump_database "$part/database.dump"
  end_backup
}

begin_backup() {
  umask 077
  mkdir -p "$1" || fail "cannot write to $1"
  whole=$1/$(date -u +%Y%m%dT%H%M%S)
  part=$whole.part
  forget_backups "$1" '\.part' 0
  mkdir "$part"
}

end_backup() {
  cp "$SETTINGS" "$part/env"
  basename "$(readlink -f "$CURRENT")" >"$part/VERSION"
  [ ! -e "$REDIS_TLS/ca.key" ] || cp "$REDIS_TLS/ca.key" "$REDIS_TLS/ca.crt" "$part/"
  (cd "$part" && find . -maxdepth 1 -type f ! -name SHA256SUMS -exec sha256sum {} + >SHA256SUMS)
  sync "$part/SHA256SUMS"
  mv "$part" "$whole"
  umask 022
}

# Media never change once written: on one file system a copy is a link and costs nothing.
# 24: a film was deleted meanwhile.
copy_media() { rsync -a --link-dest="$DATA/media/" "$DATA/media/" "$1/media/" || [ $? = 24 ]; }

# All but the last $3 whose name is a backup's, with $2 behind it: other things may lie there too.
forget_backups() {
  ls -1 "$1" | grep -xE "[0-9]{8}T[0-9]{6}$2" | head -n "-$3" | while IFS= read -r each; do rm -rf "$1/$each"; done
}

restore() {
  need_installed
  from=$(absolute "${1:?restore DIR}")
  (cd "$from" && sha256sum --quiet -c SHA256SUMS) || fail "$from is no whole backup: nothing was changed"
  for name in SECRET_KEY FIELD_KEYS; do
    [ "$(kept_setting "$name")" ] || fail "$from/env names no $name: nothing was changed"
  done
  say "keeps what is here now"
  # And forgets nothing: the oldest may be what is restored.
  keep_database
  stop
  load_database "$from/database.dump" || { start; fail "the database could not be loaded: nothing was changed"; }
  [ ! -d "$from/media" ] || rsync -a --chown="$OWNER:$OWNER" --chmod=Du=rwx,Dg=rx,Do=,Fu=rw,Fg=r,Fo= "$from/media/" "$DATA/media/"
  for name in SECRET_KEY FIELD_KEYS; do set_setting "$name" "$(kept_setting "$name")"; done
  # Agents that trust the old authority go on trusting.
  if [ -e "$from/ca.key" ] && is_authority_used; then
    command install -m 0600 "$from/ca.key" "$REDIS_TLS/" && command install -m 0644 "$from/ca.crt" "$REDIS_TLS/"
    renew_certificates "$CURRENT"
  fi
  manage "$CURRENT" migrate --no-input
  start
  wait_well || fail "it is restored but not well: $0 status"
  say "restored from $from"
}
kept_setting() ( SETTINGS=$from/env; setting "$1" )
