#!/usr/bin/env bash
# Plays the session of docs/operations.md on the embedded platform, in four minutes, and prints the
# page: scripts/operations.sh > docs/operations.md
# It is played in a new folder, of which nothing is left.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
PATH="$root/.venv/bin:$PATH"
trap 'cd "$folder" && mmectl local down --quiet >/dev/null 2>&1; rm -rf "$folder"' EXIT
cd "$folder"
cp -r "$root/examples/xgboost/ring" "$root/examples/onnx/spiral" .

say() { printf '\n%s\n' "$@"; }
# each command and what it prints, without this machine's paths
show() {
  printf '\n```\n'
  for command in "$@"; do
    printf '$ %s\n' "$command"
    { eval "$command"; } 2>&1
    local code=$?
    [ $code = 0 ] || echo "(exit code $code)"
  done | sed "s#$root/##g; s#$folder/##g"
  printf '```\n'
}

printf '# A day of an operator\n'
say 'This is one session on the embedded platform, as `scripts/operations.sh` played it and printed this page. With
`platform: aws` the commands are the same. `local.scaling_period: 2` makes a minute of autoscaling two seconds. Each part
has a page of its own under [operations/](operations/).'

cat > config.yaml <<'YAML'
platform: local
image: {frameworks: [xgboost, onnx]}
endpoint:
  name: shop
  metrics: {enhanced: true}
alarms: {defaults: true}
logs: {retention_days: 30}
models:
  - {name: ring, path: ring}
  - {name: spiral, path: spiral}
local: {scaling_period: 2}
YAML

say '## Look before you leap' '[doctor](operations/doctor.md) checks what would be refused later, and names the next command.'
show 'cat config.yaml' 'mmectl doctor'
say 'So the image and the models come first.'
show 'mmectl build -q' 'mmectl upload --all -q' 'mmectl doctor | tail -2'

say '## Deploy' '[Alarms and the log](operations/alarms.md) come before the endpoint; the plan tells [what it costs](operations/cost.md).'
show 'mmectl plan' 'mmectl deploy -q' 'mmectl invoke --target-model ring ring/rows.csv'

say '## Scale' 'By hand the fleet changes [in place](operations/scaling.md): no model is loaded again on the instances that stay.'
show 'mmectl scale 2 -q' 'mmectl plan'
say 'Or by the traffic: 40 seconds of ten requests a second, and then none.'
echo 'autoscaling: {min: 1, max: 3, target: 120, scale_out_cooldown: 0, scale_in_cooldown: 0}' >> config.yaml
show 'tail -1 config.yaml' 'mmectl deploy -q' 'mmectl bench --rate 10 --duration 40 --target-model ring ring/rows.csv | head -4' 'mmectl status'
sleep 75
say 'A minute later:'
show 'mmectl status | grep variant'

say '## A canary that rolls back' 'An alarm on answers 4XX, and somebody who sends what is no number, while half of the instances are new.'
eval "$(mmectl local env)"
cat > alarm.py <<'PYTHON'
import boto3

boto3.client("cloudwatch").put_metric_alarm(
    AlarmName="shop-client-errors",
    Namespace="AWS/SageMaker",
    MetricName="Invocation4XXErrors",
    Dimensions=[
        {"Name": "EndpointName", "Value": "shop"},
        {"Name": "VariantName", "Value": "AllTraffic"},
    ],
    Statistic="Sum",
    Period=60,
    EvaluationPeriods=1,
    Threshold=5,
    ComparisonOperator="GreaterThanThreshold",
    TreatMissingData="notBreaching",
)
PYTHON
(
  for _ in $(seq 200); do
    echo not,a,number | mmectl invoke --target-model ring --content-type text/csv - >/dev/null 2>&1
    sleep 1
  done
) &
clients=$!
sed -e 's/^alarms:/update: {policy: canary, step: 50, wait: 180, alarms: [shop-client-errors]}\nalarms:/' \
  -e 's/metrics: {enhanced: true}/metrics: {enhanced: true}\n  environment: {LOG_LEVEL: debug}/' -i config.yaml
show 'cat alarm.py' 'python alarm.py' 'grep -E "LOG_LEVEL|update" config.yaml' 'mmectl deploy -q'
kill $clients
wait $clients 2>/dev/null
say 'The same update is not issued again, by no retry, before something changes:'
show 'mmectl deploy -q 2>&1 | tail -1' 'mmectl wait 2>&1 | head -1'

say '## What happened' '[Metrics](operations/metrics.md) by model and by instance:'
show 'mmectl metrics --by-model' 'mmectl metrics --by-instance'

say '## Clean up' '[gc](operations/gc.md) names what is left over and what idles; destroy removes all of the endpoint, and looks.'
show 'mmectl gc' 'mmectl destroy --artifacts --logs -q' 'mmectl status -q'
