#!/usr/bin/env bash
# The checks of the manifests that need more than the project's own packages: checkov, in an
# environment of its own, and promtool, which runs the alerts against series that are made up.
#
#   k8s/audit.sh BIN     BIN is the folder of kubectl and python
#
# Installs what is missing; for promtool, Debian's package `prometheus`, that needs root.
set -euo pipefail
bin=$(realpath "$1")
cd "$(dirname "$0")"

checkov=3.3.30
environment=../.venv/audit
if [[ ! -x $environment/bin/checkov ]]; then
  "$bin/python" -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check "checkov==$checkov"
fi
if ! command -v promtool >/dev/null; then
  apt-get --quiet --yes update
  DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes install --no-install-recommends prometheus
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for folder in base overlays/*; do
  "$bin/kubectl" kustomize "$folder" >"$work/$(basename "$folder").yaml"
done
"$environment/bin/checkov" --config-file checkov.yaml --directory "$work" --framework kubernetes
"$environment/bin/checkov" --config-file checkov.yaml --file Dockerfile --framework dockerfile

"$bin/python" - components/monitoring/alerts.yaml >"$work/alerts.yaml" <<'PYTHON'
import sys, yaml
print(yaml.safe_dump(yaml.safe_load(open(sys.argv[1]))["spec"]))
PYTHON
cp components/monitoring/alerts-test.yaml "$work"
promtool check rules --lint=all --lint-fatal "$work/alerts.yaml"
promtool test rules "$work/alerts-test.yaml"
