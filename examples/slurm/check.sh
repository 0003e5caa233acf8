#!/usr/bin/env bash
# The digits sweep on two steps of a Slurm job, one of which is cancelled in the middle. Needs a Slurm that `sbatch` reaches, with two free
# cores; builds nothing but the digits program.
#
#   cargo build --release && examples/slurm/check.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export GRAMWISE=${GRAMWISE:-$PWD/target/release/gramwise}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/gramwise-slurm.XXXXXX")
PORT=${PORT:-7118}
gramwise() { "$GRAMWISE" --db "$WORK/slurm.db" "$@"; }
say() { echo "== $*"; }

gramwise serve --init --quiet
"$GRAMWISE" --db "$WORK/slurm.db" serve --quiet --listen "0.0.0.0:$PORT" &
SERVE=$!
JOB=
trap 'kill $SERVE 2>/dev/null || true; [ -z "$JOB" ] || scancel "$JOB" 2>/dev/null || true' EXIT
export GRAMWISE_COORDINATOR="$(hostname):$PORT" GRAMWISE_TOKEN_FILE="$WORK/slurm.trust/worker.token" GRAMWISE_FILES="$WORK/files"
client() { gramwise "$@" --token-file "$WORK/slurm.trust/client.token"; }

for _ in $(seq 50); do client ls >/dev/null 2>&1 && break; sleep 0.2; done
# A longer sweep than the example's, so that there is a middle: the same program and space.
sed 's/^setup:.*/setup: "true"/; s/^budget:.*/budget: {trials: 150}/' examples/digits/sweep.yaml > "$WORK/digits.yaml"
cargo build --quiet --release -p digits
client submit "$WORK/digits.yaml" --quiet >/dev/null
JOB=$(sbatch --parsable --ntasks=2 --output="$WORK/job.log" examples/slurm/workers.sbatch)
say "job $JOB, in $WORK"

done_with() { client report -o json | python3 -c 'import json,sys; t=json.load(sys.stdin)["trials"]; print(t["completed"]+t["pruned"]+t["paused"])'; }
until [ "$(squeue -h -s -j "$JOB" | grep -vc extern)" -ge 2 ] && [ "$(done_with)" -ge 10 ]; do sleep 0.5; done
STEP=$(squeue -h -s -o %i -j "$JOB" | grep -v -e extern -e batch | head -1)
say "$(done_with) trials are done with; scancel $STEP"
scancel "$STEP"
until client status -o json | grep -q '"state": "ended"'; do sleep 1; done
scancel "$JOB"; JOB=
sleep 2
kill $SERVE; wait $SERVE || true
unset GRAMWISE_COORDINATOR GRAMWISE_TOKEN_FILE
gramwise report
gramwise report -o json > "$WORK/report.json"
python3 - "$WORK" <<'P'
import json, sqlite3, sys
work = sys.argv[1]
database = sqlite3.connect(f"{work}/slurm.db")
one = lambda sql: database.execute(sql).fetchone()[0]
twice = one("SELECT count(*) FROM (SELECT trial FROM attempt WHERE json_extract(outcome, '$') = 'finished' GROUP BY trial HAVING count(*) > 1)")
live = one("SELECT count(*) FROM attempt WHERE outcome IS NULL")
workers = one("SELECT count(DISTINCT worker) FROM attempt")
interrupted = one("SELECT count(*) FROM attempt WHERE json_extract(outcome, '$') IN ('interrupted', 'lost')")
booked = one("SELECT sum(energy_uj) FROM ledger_entry")
metered = one("SELECT sum(measured_uj + modelled_uj + estimated_uj - other_measured_uj - other_modelled_uj - other_estimated_uj) FROM host")
report = json.load(open(f"{work}/report.json"))
print(f"{report['trials']}, {workers} workers, {interrupted} attempts interrupted, {twice} trials finished twice, {live} left open")
print(f"booked {booked} uJ, metered {metered} uJ")
assert twice == 0 and live == 0 and workers >= 2 and booked == metered and report["trials"]["failed"] == 0
print("holds")
P
