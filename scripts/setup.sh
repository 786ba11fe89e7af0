#!/usr/bin/env bash
# Makes the virtual environment with everything that mmectl, its tests and its benchmarks need.
# Usage: scripts/setup.sh VENV
set -euo pipefail
venv=${1:?usage: scripts/setup.sh VENV}
python=${PYTHON:-python3}

say() { printf 'setup: %s\n' "$*" >&2; }

# System packages are added only where one is missing, and only by root.
need=()
"$python" -c 'import ensurepip' 2>/dev/null || need+=(python3-venv)
for library in libgomp.so.1:libgomp1 libquadmath.so.0:libquadmath0; do
  "$python" -c "import ctypes; ctypes.CDLL('${library%%:*}')" 2>/dev/null || need+=("${library##*:}")
done
if [ ${#need[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${need[*]}"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
  else
    say "these system packages are missing: ${need[*]}"
    say "install them with: sudo apt-get install ${need[*]}"
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
