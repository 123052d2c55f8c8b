#!/bin/bash
# What an array of shards costs: the tasks, what the file system sees of them, and the join.
#
# usage: benches/shards.sh [N] [RECORDS]     1000 shards of a million records without arguments
# MTASK=... names another binary. It works in a temporary folder, three times as large as the input.
set -euo pipefail
count=${1:-1000}
records=${2:-1000000}
mtask=${MTASK:-$PWD/target/release/mtask}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir out journals

awk -v records="$records" 'BEGIN {
    for (i = 0; i < records; i++) printf "{\"id\":%d,\"text\":\"a record of some ninety bytes, as many of them are, more or less\"}\n", i
}' > in
echo "input: $(stat -c %s in) bytes"

shard() {
    "$mtask" --quiet -j1 --shard "$1/$count" -i in --output-format envelope \
        --resume 'journals/{shard}' -o 'out/{shard}' cat
}
now() { date +%s.%N; }
since() { awk -v from="$1" -v to="$(now)" 'BEGIN { printf "%.2f s", to - from }'; }

from=$(now)
for ((number = 0; number < count; number++)); do shard "$number"; done
echo "tasks, one after another: $(since "$from")"
find out -type f -printf '%s\n' | awk '{ n++; s += $1 } END { print "outputs: " n " files, " s " bytes" }'
find journals -type f -printf '%s\n' | awk '{ n++; s += $1 } END { print "journals: " n " files, " s " bytes" }'

if command -v strace > /dev/null; then
    # One task in the middle, done anew. What it opens of the system itself is not counted.
    calls=$folder/calls
    name=$(printf "%0${#count}d" $((count / 2)))
    rm -f "out/$name" "journals/$name"
    from=$PWD
    "$(command -v strace)" -f -y -o "$calls" -e trace=openat,read,pread64,write,fdatasync,fsync \
        "$mtask" --quiet -j1 --shard "$((count / 2))/$count" -i in --output-format envelope \
        --resume 'journals/{shard}' -o 'out/{shard}' cat
    awk -v at="$from/" '
        index($0, at) && /openat\(/ { opens++ }
        index($0, at "in>") && / (read|pread64)\(/ && $NF > 0 { reads++; bytes += $NF }
        index($0, at) && /f(data)?sync\(/ { syncs++ }
        END { print "one task: " opens " opens, " reads " reads of the input with " bytes " bytes, " syncs " syncs" }' "$calls"
    strace -f -c -o "$calls" -e trace=openat,read,pread64,statx "$mtask" --quiet --join \
        --resume 'journals/{shard}' 'out/{shard}' > /dev/null
    awk '$NF ~ /^(openat|read|pread64)$/ { print "join: " $4 " calls of " $NF }' "$calls"
fi

for run in 1 2 3; do
    from=$(now)
    "$mtask" --quiet --join --resume 'journals/{shard}' -o all 'out/{shard}'
    echo "join, run $run, renumbered and synced: $(since "$from")"
    rm all
done
[ ! -x /usr/bin/time ] || /usr/bin/time -f 'join: %M KiB of memory' "$mtask" --quiet --join --resume 'journals/{shard}' \
    'out/{shard}' > /dev/null
