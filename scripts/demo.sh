#!/usr/bin/env bash
# The main story on the embedded platform: no account, no Docker. Ends with nothing left running.
# Every line that begins with $ is a command as you would type it.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }
say() { printf '\n# %s\n' "$*"; }
trap 'mmectl local down --quiet >/dev/null 2>&1 || true' EXIT
[ -t 1 ] || step() { printf '\n$ %s\n' "$*"; "$@"; }
image=examples/images

say 'The image: a serving environment with Multi Model Server, MXNet, XGBoost and ONNX Runtime.'
step mmectl build

say 'The models of config.yaml: four of our own, three of the MXNet model zoo.'
untrained=()
if ! step mmectl upload --all; then
  say 'The zoo cannot be reached: the same networks with random weights instead (marked untrained).'
  untrained=(--untrained)
  step mmectl upload --all --untrained
fi

say 'The endpoint: two instances.'
step mmectl deploy

say 'A trained model that knows the answer; then ResNet-18, cold and warm.'
step mmectl invoke --target-model shapes $image/star.jpg
step mmectl invoke --target-model resnet_18.tar.gz $image/star.jpg
step mmectl invoke --target-model resnet_18 $image/star.jpg

say 'Other frameworks behind the same endpoint: XGBoost and ONNX, asked with CSV.'
step mmectl invoke --target-model ring examples/xgboost/ring/rows.csv
step mmectl invoke --target-model spiral examples/onnx/spiral/rows.csv

say 'Ten more models, the endpoint untouched.'
step mmectl upload squeezenet_v1.0 "${untrained[@]}" --copies 10 --to demo-subfolder/

say 'A random model each time.'
step mmectl invoke --random 100 --target-model 'demo-subfolder/*' --concurrency 2 $image/*

say 'Changed weights become a new version; nothing is overwritten.'
step mmectl upload resnet_18 --untrained --seed 2
step mmectl invoke --target-model resnet_18_v2.tar.gz $image/star.jpg

step mmectl status
say 'Everything is removed; the uploaded models stay until: mmectl destroy --artifacts'
step mmectl destroy
step mmectl local down
