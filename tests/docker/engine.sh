#!/bin/sh
# Runs dockerd where nothing of the machine can be touched. Called by lab.py inside
# `unshare --mount --pid`, with: FOLDER REGISTRY-HOST ARGUMENTS-OF-DOCKERD...
set -eu
folder=$1 registry=$2
shift 2
mount -t tmpfs tmpfs /etc/docker # its key, and the certificates of registries
mount -t tmpfs tmpfs /opt        # containerd makes a folder there
mount -t tmpfs tmpfs /run        # plugin sockets
mount --bind "$folder/hosts" /etc/hosts
mkdir -p "/etc/docker/certs.d/$registry"
cp "$folder/registry.crt" "/etc/docker/certs.d/$registry/ca.crt"
exec dockerd "$@"
