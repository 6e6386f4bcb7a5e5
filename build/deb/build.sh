#!/bin/bash
# Makes a Debian package of a binary that is there: build.sh ARCH VERSION BINARY
# FOLDER writes FOLDER/nacre_VERSION_ARCH.deb. VERSION is what git describe says.
# It needs dpkg-deb and no root; the same input gives the same bytes.
set -euo pipefail
arch=$1 version=$2 binary=$3 out=$4
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)

# v1.2.3-4-gabc is 4 commits after v1.2.3. Before the first tag there is only a
# commit, whose place in the history makes later packages newer.
version=${version#v}
if [[ ! $version =~ ^[0-9]+\. ]]; then
  version="0.0.0-$(git -C "$source" rev-list --count HEAD)-g$version"
fi
version=$(sed -E 's/-([0-9]+)-g/+\1.g/; s/-dirty$/+dirty/; s/-/~/g' <<<"$version")

export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

put() { # MODE FILE PLACE
  install -D -m "$1" "$2" "$root/$3"
}
put 755 "$binary" usr/bin/nacre
for unit in "$here"/files/*.service; do put 644 "$unit" "lib/systemd/system/$(basename "$unit")"; done
mkdir -p "$root/etc/nacre"
(cd "$source" && GOARCH= go run ./cmd/nacre describe config --format yaml) >"$root/etc/nacre/nacre.yaml"
put 644 "$here/files/nacre-node.default" etc/default/nacre-node
put 644 "$here/files/nacre.8" usr/share/man/man8/nacre.8
put 644 "$source/LICENSE" usr/share/doc/nacre/copyright
put 644 "$source/docs/operations.md" usr/share/doc/nacre/operations.md
put 644 "$source/docs/zh-CN/operations.md" usr/share/doc/nacre/operations.zh-CN.md
git -C "$source" log -50 --format='%as %h %s' >"$root/usr/share/doc/nacre/changelog"
gzip -9n "$root/usr/share/doc/nacre/changelog" "$root/usr/share/man/man8/nacre.8"

mkdir "$root/DEBIAN"
for script in postinst prerm postrm; do put 755 "$here/files/$script" "DEBIAN/$script"; done
printf '/etc/nacre/nacre.yaml\n/etc/default/nacre-node\n' >"$root/DEBIAN/conffiles"
(cd "$root" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

# A server needs none of the programs that hosts run; they are recommended, and
# nacre says which one is missing. The boot loader of the first image has no build
# for other processors.
hosts="qemu-system-x86, qemu-utils, ovmf, openvswitch-switch, ovn-central, ovn-host, busybox, dropbear-bin, mtools, e2fsprogs, xfsprogs, kmod, iproute2, ethtool"
[ "$arch" != amd64 ] || hosts="$hosts, syslinux, syslinux-common"
cat >"$root/DEBIAN/control" <<CONTROL
Package: nacre
Version: $version
Architecture: $arch
Maintainer: The Nacre authors <nacre@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: adduser, ca-certificates
Recommends: $hosts
Suggests: postgresql, rabbitmq-server, python3-openstackclient
Section: admin
Priority: optional
Description: complete cloud that speaks OpenStack, in one binary
 Identity, image, placement, compute, network, volume and object storage behind
 the OpenStack APIs, with a dashboard. One machine makes a whole cloud
 (nacre.service); servers on one PostgreSQL and a node on each host make a cluster
 (nacre-server.service, nacre-node.service). Guests outlive every restart.
CONTROL

mkdir -p "$out"
dpkg-deb --build --root-owner-group -Zzstd "$root" "$out/nacre_${version}_$arch.deb" >/dev/null
echo "$out/nacre_${version}_$arch.deb"
