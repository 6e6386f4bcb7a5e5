#!/bin/bash
# Installs the Debian packages that are missing. Arguments: which lists.
set -euo pipefail
run="qemu-system-x86 qemu-utils ovmf openvswitch-switch ovn-central ovn-host busybox dropbear-bin syslinux syslinux-common mtools
     e2fsprogs xfsprogs kmod sudo curl ca-certificates iproute2 ethtool openssh-client npm"
test="python3-openstacksdk python3-openstackclient python3-osc-placement python3-swiftclient s3cmd chromium fonts-noto-cjk xorriso postgresql-15 rabbitmq-server systemd
      python3-kombu python3-oslo.messaging slapd ldap-utils python3-lxml xmlsec1"

want=""
for list in "$@"; do want="$want ${!list}"; done
missing=""
for p in $want; do
  dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' && continue
  # Node.js from elsewhere brings npm without a package of that name.
  [ "$p" = npm ] && command -v npm >/dev/null && continue
  missing="$missing $p"
done
[ -z "$missing" ] && exit 0

echo "installing$missing"
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
# On a machine that is thrown away afterwards nobody needs each file on disk.
options="-o DPkg::Lock::Timeout=600"
[ -z "${CI:-}" ] || options="$options -o Dpkg::Options::=--force-unsafe-io"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
{ $as_root apt-get $options -q update &&
  $as_root apt-get $options -q install --no-install-recommends -y $missing; } >"$log" 2>&1 &
installing=$!
while kill -0 "$installing" 2>/dev/null; do
  sleep 2
  total=$(sed -n 's/.* \([0-9]*\) newly installed.*/\1/p' "$log")
  [ -z "$total" ] || printf '\r  %s of %s packages unpacked, %s set up ' \
    "$(grep -c '^Unpacking ' "$log")" "$total" "$(grep -c '^Setting up ' "$log")"
done
echo
if ! wait "$installing"; then
  tail -n 20 "$log" >&2
  echo "The packages could not be installed. Install them by hand and run this again:$missing" >&2
  exit 1
fi
rm -f "$log"
