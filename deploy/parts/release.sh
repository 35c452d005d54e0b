# Releases lie beside each other; `current` points to the one in use. Environments are shared by what is in them.

processes() { sed -n 's/^\([a-z_]*\):.*/\1/p' "$1/Procfile"; }

# Copies the source beside the releases, with the environment it needs. Prints where.
make_release() {
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$SOURCE/pyproject.toml")
  release=$BASE/releases/$(date -u +%Y%m%dT%H%M%S)-$version
  rsync -a --delete --exclude=/.git --exclude=/.venv --exclude=/var --exclude=/staticfiles --exclude='.*_cache' \
    --exclude=__pycache__ --chown=root:root --chmod=Du=rwx,Dgo=rx,Fu=rwX,Fgo=rX "$SOURCE/" "$release.part/"
  mv "$release.part" "$release"
  printf '%s' "$release"
}

prepare_release() {
  digest=$(cat "$1/deploy/requirements.in" "$1/requirements.txt" | sha256sum | cut -c1-16)
  venv=$BASE/venvs/$digest
  if [ ! -e "$venv/complete" ]; then
    say "installs Python packages"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1/deploy/requirements.in" -c "$1/requirements.txt" 9>&- ||
      fail "pip could not install"
    touch "$venv/complete"
  fi
  ln -sfn "$venv" "$1/.venv"
  # Its own user cannot keep what Python compiles: each process would do it anew at each start.
  "$venv/bin/python" -m compileall -q -j 0 -x '/(\.venv|tests|bench|lab)/' "$1" || fail "the release does not compile"
  collect_static "$1"
}

# Its own user may not write into a release, but for this moment.
collect_static() {
  [ ! -e "$1/staticfiles/complete" ] || return 0
  rm -rf "$1/staticfiles"
  command install -d -o "$OWNER" "$1/staticfiles"
  in_release "$1" env STATIC_ROOT="$1/staticfiles" .venv/bin/python manage.py collectstatic --no-input -v 0
  chown -R root:root "$1/staticfiles"
  touch "$1/staticfiles/complete"
}

# The links are swapped in one step each; processes go on in the release they were started in.
use_release() {
  now=$(readlink -e "$CURRENT" || true)
  if [ "$now" ] && [ "$now" != "$1" ]; then ln -sfn "$now" "$PREVIOUS.new" && mv -T "$PREVIOUS.new" "$PREVIOUS"; fi
  ln -sfn "$1" "$CURRENT.new" && mv -T "$CURRENT.new" "$CURRENT"
}

upgrade() {
  need_installed
  old=$(readlink -e "$CURRENT")
  before=$(readlink -e "$PREVIOUS" || true)
  [ "$SOURCE" != "$old" ] || fail "this is the release in use: run deploy/ezstream of the new source"
  close_settings
  new=$(make_release)
  prepare_release "$new"
  manage "$old" migration_state >"$new/migrations-before"
  backup_database_only
  say "migrates"
  manage "$new" migrate --no-input -v 0 && switch_to "$new" || take_back
  forget_old_releases
  say "runs $(basename "$new")"
}

# The old release in any case, also when the database is down or the disk full.
take_back() {
  say "the new release is not well: goes back"
  trouble=""
  undo_migrations || trouble=", but the database has the layout of $(basename "$new"): $0 restore $whole"
  switch_to "$old" || trouble="$trouble, and is not well either: $0 status"
  [ "$(readlink -e "$CURRENT")" = "$old" ] || fail "$(basename "$new") is still in use and not well: $0 status"
  if [ "$before" ]; then ln -sfn "$before" "$PREVIOUS" || true; else rm -f "$PREVIOUS"; fi
  rm -rf "$new"
  fail "the old release is in use again${trouble:- and well: nothing has changed}. What went wrong: journalctl -u 'ezstream@*' --since -5min"
}

rollback() {
  need_installed
  [ -e "$PREVIOUS/manage.py" ] || fail "there is no release before this one"
  new=$(readlink -e "$CURRENT")
  old=$(readlink -e "$PREVIOUS")
  [ -e "$new/migrations-before" ] || fail "how the database was before $(basename "$new") is not known"
  backup_database_only
  undo_migrations || fail "the migrations could not all be undone; $(basename "$new") is still in use, the database before this: $whole"
  switch_to "$old" || fail "the old release is not well either: $0 status"
  rm -f "$PREVIOUS"
  say "runs $(basename "$old") again"
}

undo_migrations() { manage "$new" migration_state --return-to "$new/migrations-before"; }

# What runs is the release's also when units or nginx's site could not be: on the way back that is better than nothing.
switch_to() {
  use_release "$1" || return 1
  is_whole=yes
  install_units || is_whole=""
  install_nginx "$(host_name)" || is_whole=""
  restart
  [ "$is_whole" ] && wait_well
}

# Three are kept, and the environments they use.
forget_old_releases() {
  keep="$(readlink -e "$CURRENT") $(readlink -e "$PREVIOUS" || true)"
  for each in $(ls -1d "$BASE"/releases/*/ | head -n -3); do
    case " $keep " in *" ${each%/} "*) ;; *) rm -rf "${each%/}" ;; esac
  done
  used=$(for each in "$BASE"/releases/*/; do readlink -f "$each.venv"; done)
  for each in "$BASE"/venvs/*; do
    printf '%s\n' "$used" | grep -qx "$each" || rm -rf "$each"
  done
}
