#!/bin/sh
# What a batch system does to tasks of an array, and what is left of it when they are joined.
#
# usage: events.sh MTASK ARRAY_SH     in an empty folder, as slurm-up.sh wants it: as root, in
# namespaces of its own. Each step waits for what it needs to see; whoever runs this has a time limit.
set -eu
mtask=$1
array=$2
PATH=$(dirname "$mtask"):$PATH
here=$PWD
cluster=$(dirname "$0")
export SLURM_CONF="$here/cluster/slurm.conf"

fail() {
    echo "events: $*" >&2
    tail -n 5 slurm-*.out >&2
    exit 1
}
# Waits until a command holds.
await() {
    until "$@"; do sleep 0.1; done
}
has_line() { [ -s "$1" ]; }
# How the job is: PENDING, RUNNING, COMPLETING; nothing once it is over.
state() { squeue --noheader --jobs="$1" --array --format=%T 2>/dev/null || true; }
is_pending() { [ "$(state "$1")" = PENDING ]; }
is_over() { [ -z "$(state "$1")" ]; }
is_idle() { [ -z "$(squeue --noheader)" ]; }
# A task that was requeued would wait for two minutes; it is to go on with what it has done.
go_on() {
    until grep -q 'done already' slurm-*_"$2".out; do
        # It may have begun by then.
        ! is_pending "$1" || scontrol update JobId="$1" StartTime=now || true
        sleep 0.2
    done
}
submit() { sbatch --parsable --time=60 "$@" "$array"; }

"$cluster/slurm-up.sh" "$here/cluster"

# Ten shards of a thousand records. In five of them all records but the first hold until the file
# `go` is there.
awk 'BEGIN {
    for (i = 0; i < 10000; i++)
        printf "{\"n\":%d,\"hold\":%d}\n", i + 10000, (i >= 4000 && i < 9000 && i % 1000 > 0)
}' > big.jsonl
cat > worker <<'SH'
#!/bin/sh
while IFS= read -r line; do
    case $line in
    *'"hold":1}') until [ -e go ] || [ -e "go.$SLURM_ARRAY_TASK_ID" ]; do sleep 0.1; done ;;
    esac
    printf '%s\n' "$line"
done
SH
chmod +x worker
mkdir journals out

submit --array=0-3,9 > /dev/null
requeued=$(submit --array=4 --nodelist=n1)
preempted=$(submit --array=5 --nodelist=n2)
noticed=$(submit --array=6 --nodelist=n1)
limited=$(submit --array=7 --nodelist=n1 --signal=B:CONT@1)
canceled=$(submit --array=8 --nodelist=n1)
for shard in 04 05 06 07 08; do await has_line out/$shard.jsonl; done

# The limit is looked at twice a minute, so it comes first.
scontrol update JobId="${noticed}_6" EndTime=now+300
scontrol update JobId="${limited}_7" EndTime=now
scontrol requeue "${requeued}_4"
urgent=$(sbatch --parsable --partition=urgent --nodelist=n2 --cpus-per-task=4 \
    --output=urgent.out --wrap true)
scancel "${canceled}_8"
await is_over "$urgent"
await is_over "$canceled"
go_on "${requeued}_4" 4
go_on "${preempted}_5" 5
await grep -q 'SIGUSR2' slurm-*_6.out
touch go.6
await is_over "$noticed"
await is_over "$limited"
for event in '4 JOB REQUEUE' '5 PREEMPTION' '7 TIME LIMIT' '8 CANCELLED'; do
    grep -q "${event#* }" slurm-*_"${event%% *}".out || fail "no ${event#* }"
done

# What was ended for good is named, and nothing of it has failed.
join() { mtask --join --resume 'journals/{shard}' -o all.jsonl 'out/{shard}.jsonl'; }
touch go
await is_over "$requeued"
await is_over "$preempted"
join 2> said && fail "it joined what is not done"
cat said >&2
list=$(sed -n 's/.*--array=\([0-9,-]*\) in Slurm.*/\1/p' said)
[ "$list" = 6-8 ] || fail "to be run again: $list"
[ ! -e all.jsonl ] || fail "something was written"
submit --array="$list" > /dev/null
await is_idle
join

cmp big.jsonl all.jsonl || fail "the joined file is not what one run writes"
! grep 'mtask_error' out/* || fail "a failure was invented"
! grep '^mtask: .* failed' slurm-*.out || fail "a failure was invented"
# What is left but this, the daemons, and what nobody has reaped.
# shellcheck disable=SC2009
left=$(ps -e -o stat= -o args= | grep -v '^Z' | grep -e '[s]lurmstepd' -e '[m]task --' -e '[.]/worker' || true)
[ -z "$left" ] || fail "processes are left: $left"
echo "joined as one run"
