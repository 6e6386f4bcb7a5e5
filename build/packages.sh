#!/bin/bash
# Installs the Debian packages that are missing. Arguments: which lists.
set -euo pipefail
run="qemu-system-x86 qemu-utils openvswitch-switch ovn-central ovn-host busybox dropbear-bin extlinux
     e2fsprogs kmod sudo curl ca-certificates iproute2 ethtool openssh-client npm"
test="python3-openstacksdk python3-openstackclient chromium fonts-noto-cjk xorriso"

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
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
if ! { $as_root apt-get -o DPkg::Lock::Timeout=600 -qq update &&
       $as_root apt-get -o DPkg::Lock::Timeout=600 -qq install --no-install-recommends -y $missing; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "The packages could not be installed. Install them by hand and run this again:$missing" >&2
  exit 1
fi
rm -f "$log"
