#!/usr/bin/env bash
# Makes the virtual environment with everything that mmectl, its tests and its benchmarks need.
# Needs Python 3.10 or newer and the package index, nothing else: uv is fetched from there.
# Usage: scripts/setup.sh VENV
set -euo pipefail
venv=${1:?usage: scripts/setup.sh VENV}
python=${PYTHON:-python3}

say() { printf 'setup: %s\n' "$*" >&2; }

if ! [ -x "$venv/bin/uv" ]; then
  say "making $venv with $("$python" --version)"
  # Debian's Python comes without ensurepip: then uv is fetched by hand.
  if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
  else
    "$python" -m venv --clear --without-pip "$venv"
    "$venv/bin/python" "$(dirname "$0")/fetch_uv.py" "$venv/bin"
  fi
fi
say "installing mmectl and its tools"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --constraint "$(dirname "$0")/constraints.txt" \
  --editable '.[local,dev,docs]'
say "ready: $venv/bin/mmectl"
