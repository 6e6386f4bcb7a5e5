#!/bin/bash
# A day with the commands swift and s3cmd: bytes go up, are listed, copied and
# come back the same; a large one goes in parts.
#
#   . openrc && bash objects.sh http://HOST:PORT_OF_S3
set -euo pipefail
s3=${1:?say where S3 is: objects.sh http://HOST:PORT}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
head -c 12000000 /dev/urandom >large
echo hello >small

echo "swift"
swift post -r '.r:*,.rlistings' day-swift
swift upload day-swift small
swift upload --segment-size 5000000 --segment-container day-segments day-swift large
swift list --long day-swift
swift stat day-swift large
swift post -m color:blue day-swift small
swift copy -d /day-swift/copy day-swift small
swift download --output large.back day-swift large
cmp large large.back
swift delete day-swift
swift delete day-segments

echo "s3cmd"
read -r access secret < <(openstack ec2 credentials create -f value -c access -c secret | xargs)
host=${s3#*://}
cat >s3cfg <<EOF
[default]
access_key = $access
secret_key = $secret
host_base = $host
host_bucket = $host
use_https = $([[ $s3 == https:* ]] && echo True || echo False)
EOF
s3() { s3cmd -c s3cfg --no-progress "$@"; }
s3 mb s3://day-s3
s3 put small s3://day-s3/small
s3 --multipart-chunk-size-mb=5 put large s3://day-s3/large
s3 ls s3://day-s3
s3 info s3://day-s3/large
s3 cp s3://day-s3/small s3://day-s3/folder/copy
s3 sync s3://day-s3/folder/ back/
cmp small back/copy
s3 get s3://day-s3/large large.s3
cmp large large.s3
s3 setacl --acl-public s3://day-s3/small
s3 del --recursive --force s3://day-s3
s3 rb s3://day-s3
openstack ec2 credentials delete "$access"
