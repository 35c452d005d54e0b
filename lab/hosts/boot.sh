#!/bin/sh
# One host, in a mount and process namespace of its own, so that all of it goes when this process goes.
# Its standard input is the power button: a line switches the host on again after a power-off, the end of it ends all.
# boot.sh BASE_IMAGE DISK_SIZE PROCS,PROCS… NSPAWN_ARGUMENT…     (in the host's directory)
set -eu
base=$1 size=$2 groups=$3
shift 3
exec 3<&0 </dev/null
PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH

mkdir -p base own root
truncate -s "$size" own.img
mkfs.ext4 -q -m 0 -O ^has_journal -E lazy_itable_init=1,nodiscard own.img
mount -o loop,ro "$base" base
mount -o loop,noatime own.img own
mkdir own/upper own/work
# volatile: nothing here outlives a crash of the machine, so nobody waits for its disk.
mount -t overlay -o lowerdir=base,upperdir=own/upper,workdir=own/work,volatile overlay root
cp -R carry/. root/
chroot root chpasswd <password
ssh-keygen -q -A -f root

while :; do
  # The shell stays outside the host's groups: it must not freeze with it.
  code=0
  sh -c 'groups=$1; shift; for procs in $(echo "$groups" | tr , " "); do echo $$ >"$procs"; done; exec systemd-nspawn "$@"' \
    - "$groups" "$@" || code=$?
  [ "$code" = 133 ] && continue # a reboot
  read -r _ <&3 || exit 0
done
