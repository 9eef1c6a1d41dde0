#!/usr/bin/env bash
# Makes a base image of Debian's own packages and prints the path of its tar archive: a machine
# without a registry has no image to start from. Kept in CACHE, because it takes two minutes.
#
#   base_image.sh CACHE
#
# Needs root, debootstrap and a Debian whose apt sources are in reach.
set -euo pipefail

suite=trixie # its Python is 3.13; the default base, python:3.12-slim, is made of the same Debian
cache=$1
archive=$cache/base-$suite.tar

if [[ ! -e $archive ]]; then
  # The mirror that this machine's own packages come from.
  running=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  # shellcheck disable=SC2016 # apt-get fills it in, not the shell
  mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' "Codename: $running" | head -n 1)
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/rootfs.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv \
    "$suite" "$work/rootfs" "$mirror" >&2
  rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb "$work"/rootfs/var/lib/apt/lists/*
  tar --directory "$work/rootfs" --create --file "$work/base.tar" .
  mv "$work/base.tar" "$archive"
fi
echo "$archive"
