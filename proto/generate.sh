#!/bin/sh
# Generates the Python code of the protos into a folder: generate.sh BIN FOLDER. BIN holds the tools
# that requirements-dev.lock pins. Run by `make generate` and `make proto-check`.
set -eu
bin=$(cd "$1" && pwd)
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")"

protoc() {
  "$bin/python" -m grpc_tools.protoc --proto_path=. \
    --plugin="$bin/protoc-gen-mypy" --plugin="$bin/protoc-gen-mypy_grpc" "$@"
}

rm -rf "$folder/onemin" "$folder/buf"
# Unquoted on purpose: names of protos have no spaces.
protoc --python_out="$folder" --mypy_out="quiet:$folder" \
  $(find onemin -name '*.proto' | sort) buf/validate/validate.proto
protoc --grpc_python_out="$folder" --mypy_grpc_out="quiet:$folder" \
  $(find onemin -name '*_service.proto')
