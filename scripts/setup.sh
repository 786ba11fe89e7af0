#!/usr/bin/env bash
# Makes the virtual environment with everything that mmectl, its tests and its benchmarks need.
# Usage: scripts/setup.sh VENV
set -euo pipefail
venv=${1:?usage: scripts/setup.sh VENV}
python=${PYTHON:-python3}

say() { printf 'setup: %s\n' "$*" >&2; }

# Debian's Python comes without the module that makes virtual environments.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing python3-venv"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  else
    say "python3-venv is missing; install it with: sudo apt-get install python3-venv"
    exit 1
  fi
fi

if ! [ -x "$venv/bin/python" ]; then
  say "making $venv with $("$python" --version)"
  "$python" -m venv "$venv"
fi
[ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
say "installing mmectl and its tools"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --editable '.[local,dev]'
say "ready: $venv/bin/mmectl"
