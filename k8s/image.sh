#!/usr/bin/env bash
# Builds the image as onemin-gateway:VERSION, the version of pyproject.toml.
#
#   k8s/image.sh [option of `docker build`]...
#
# DOCKER    the client, `docker` if unset; it must know BuildKit
# PIP_CERT  the bundle of authorities that pip trusts here, handed into the build as a secret
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git rev-parse --verify --quiet HEAD || echo unknown)
secrets=()
if [[ -n ${PIP_CERT:-} ]]; then
  secrets+=(--secret "id=ca,src=$PIP_CERT")
fi

DOCKER_BUILDKIT=1 exec "${DOCKER:-docker}" build --file k8s/Dockerfile --tag "onemin-gateway:$version" \
  --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "${secrets[@]}" "$@" .
