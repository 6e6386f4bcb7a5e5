#!/bin/bash
# Create a server with the openstack command and wait until it is ACTIVE.
# The cloud is the one that OS_CLOUD or the other OS_* variables name.
set -euo pipefail
name=${SERVER_NAME:-my-server-cli}

openstack server create \
  --flavor "${FLAVOR:-m1.medium}" \
  --image "${IMAGE:-cirros}" \
  --network "${NETWORK:-private}" \
  --security-group default \
  --wait "$name" -f value -c id -c status
openstack server list -f value -c Name -c Status --name "$name"
