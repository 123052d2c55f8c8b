#!/bin/sh
# Classifies a few thousand sentences with two workers, each of which trains its model once, and
# with a single process, and compares the results. Needs mtask and a python3 with scikit-learn.
set -eu
here=$(dirname "$0")
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
export PYTHONIOENCODING=utf-8
export OMP_NUM_THREADS=1 # two workers are two threads

python3 "$here/classify.py" sentences > "$folder/sentences"
mtask -j2 --format lines --batch 64 --python "$here/classify.py:Classifier" \
    < "$folder/sentences" > "$folder/two-workers"
python3 "$here/classify.py" alone < "$folder/sentences" > "$folder/alone"

cmp "$folder/alone" "$folder/two-workers"
paste "$folder/two-workers" "$folder/sentences" | awk 'NR % 1000 == 9'
echo "$(wc -l < "$folder/two-workers") sentences: two workers and a single process agree"
