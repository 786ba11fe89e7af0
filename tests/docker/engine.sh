#!/bin/sh
# Runs dockerd where nothing of the machine can be touched. Called by lab.py inside
# `unshare --mount --pid`, with: FOLDER REGISTRY-HOST ARGUMENTS-OF-DOCKERD...
set -eu
folder=$1 registry=$2
shift 2
mount -t tmpfs tmpfs /etc/docker # the engine's key, and certificates of registries
mkdir -p "$folder/opt" "$folder/opt-work" # containerd makes a folder in /opt
mount -t overlay -o "lowerdir=/opt,upperdir=$folder/opt,workdir=$folder/opt-work" overlay /opt
mount -t tmpfs tmpfs /run # sockets of plugins
mount --bind "$folder/hosts" /etc/hosts
mkdir -p "/etc/docker/certs.d/$registry"
cp "$folder/registry.crt" "/etc/docker/certs.d/$registry/ca.crt"
if [ -n "${MMELAB_DISK:-}" ]; then
	mkdir -p "$folder/data"
	mount -t tmpfs -o "size=$MMELAB_DISK" tmpfs "$folder/data"
fi
exec dockerd "$@"
