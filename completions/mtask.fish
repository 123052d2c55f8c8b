# Options end at COMMAND, which completes as if it stood alone.
function __mtask_takes_options
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --
                return 1
            case -i -a --input --shard --format --field --max-record -j -P --jobs --protocol --answer-end --record-end --worker-arg --shared-arg --gpus --threads --max-worker-memory --lifespan --python --each --argument-type --batch --concurrency -o --output --output-format --merge --errors --exits --error-input --resume --window --rate --buffer --on-error --max-errors --timeout --init-timeout --retries --retry-delay --max-restarts --exit-timeout --grace --progress --desc --total --stats-file --log --metrics-file --report --generate
                set -e words[1]
            case '-*'
            case '*'
                return 1
        end
        set -e words[1]
    end
    return 0
end

complete -c mtask -n __mtask_takes_options -s i -l input -d 'Read records from FILE, not stdin; again for more' -r -F
complete -c mtask -n __mtask_takes_options -l shard -d 'Take the Kth of N shards of the input files' -r -f
complete -c mtask -n __mtask_takes_options -l format -d 'What a record is: lines, jsonl, csv or tsv' -r -f -a "lines\t'A line, or with -0 what ends with NUL; its bytes are passed on untouched'
jsonl\t'A line that is one JSON value; blank lines are skipped'
csv\t'A row after the first, which names the fields: a JSON object of strings'
tsv\t'The same with tabs between fields'"
complete -c mtask -n __mtask_takes_options -l field -d 'Send only the value of KEY in each record' -r -f
complete -c mtask -n __mtask_takes_options -l max-record -d 'The longest record and the longest answer' -r -f
complete -c mtask -n __mtask_takes_options -s j -l jobs -d 'How many [default: one for each usable CPU]' -r -f
complete -c mtask -n __mtask_takes_options -l protocol -d 'Their protocol: lines or json' -r -f -a "lines\t'One line in, one line out, in the same order, flushed'
json\t'One JSON object a line each way; answers carry the record\'s id, in any order'"
complete -c mtask -n __mtask_takes_options -l answer-end -d 'An answer is all lines up to one that is TEXT' -r -f
complete -c mtask -n __mtask_takes_options -l record-end -d 'Send a line that is TEXT after each record' -r -f
complete -c mtask -n __mtask_takes_options -l worker-arg -d 'An argument of one worker\'s own; again for each' -r -f
complete -c mtask -n __mtask_takes_options -l shared-arg -d 'Added to every worker\'s argument; again for more' -r -f
complete -c mtask -n __mtask_takes_options -l gpus -d 'A GPU for each worker: all, or a list as 0,2' -r -f
complete -c mtask -n __mtask_takes_options -l threads -d 'Threads that numeric libraries start: auto, N or keep' -r -f
complete -c mtask -n __mtask_takes_options -l max-worker-memory -d 'Replace a worker that holds more memory [default: never]' -r -f
complete -c mtask -n __mtask_takes_options -l lifespan -d 'Replace a worker\'s process after N records [default: never]' -r -f
complete -c mtask -n __mtask_takes_options -l python -d 'Call a Python function or class with each record' -r -F
complete -c mtask -n __mtask_takes_options -l each -d 'Start COMMAND anew for each record, in its arguments' -r -f -a "argument\t'In its command line, in place of the placeholders there, or as the last argument'
stdin\t'As its stdin'"
complete -c mtask -n __mtask_takes_options -l argument-type -d 'A record as single argument, args or kwargs' -r -f -a "single\t'As the one argument'
args\t'A list of positional arguments'
kwargs\t'An object of keyword arguments'"
complete -c mtask -n __mtask_takes_options -l batch -d 'Call with lists of up to N records' -r -f
complete -c mtask -n __mtask_takes_options -l concurrency -d 'Have up to N calls under way in each worker' -r -f
complete -c mtask -n __mtask_takes_options -s o -l output -d 'Write results to FILE instead of stdout' -r -F
complete -c mtask -n __mtask_takes_options -l output-format -d 'Results as raw, envelope, pair or text' -r -f -a "raw\t'The bytes of the answer'
envelope\t'{"index":...,"output":...} on a line each'
pair\t'{"index":...,"input":...,"output":...} on a line each'
text\t'With --protocol json: strings without their quotes, other values as they are'"
complete -c mtask -n __mtask_takes_options -l merge -d 'Write each input object with KEY set to its result' -r -f
complete -c mtask -n __mtask_takes_options -l errors -d 'Write error records to FILE, not among results' -r -F
complete -c mtask -n __mtask_takes_options -l exits -d 'Write what workers say at their ends to FILE' -r -F
complete -c mtask -n __mtask_takes_options -l error-input -d 'What an error record holds of its record: whole or none' -r -f -a "whole\t'All of it, so that it can be run again'
none\t'Nothing'"
complete -c mtask -n __mtask_takes_options -l resume -d 'Keep a journal, or go on from it' -r -F
complete -c mtask -n __mtask_takes_options -l window -d 'Records at a worker: auto, N or full' -r -f
complete -c mtask -n __mtask_takes_options -l rate -d 'Send at most N records a second, minute or hour' -r -f
complete -c mtask -n __mtask_takes_options -l buffer -d 'Hold at most so many bytes' -r -f
complete -c mtask -n __mtask_takes_options -l on-error -d 'When a record fails: defer, ignore, raise or drain' -r -f -a "defer\t'The run goes on; status 123 at its end'
ignore\t'The run goes on, and failed records do not count in the status'
raise\t'The first failure ends the run at once: workers are killed'
drain\t'After the first failure nothing new is sent; what was sent is finished'"
complete -c mtask -n __mtask_takes_options -l max-errors -d 'Send nothing new after N failures, or N%' -r -f
complete -c mtask -n __mtask_takes_options -l timeout -d 'The limit for one record [default: none]' -r -f
complete -c mtask -n __mtask_takes_options -l init-timeout -d 'The limit for a worker\'s first answer' -r -f
complete -c mtask -n __mtask_takes_options -l retries -d 'How often to try a failed record again' -r -f
complete -c mtask -n __mtask_takes_options -l retry-delay -d 'How long a failed record waits before that' -r -f
complete -c mtask -n __mtask_takes_options -l max-restarts -d 'Give a worker up after N deaths without an answer' -r -f
complete -c mtask -n __mtask_takes_options -l exit-timeout -d 'How long a worker may take to exit at its end' -r -f
complete -c mtask -n __mtask_takes_options -l grace -d 'The time between SIGTERM and SIGKILL' -r -f
complete -c mtask -n __mtask_takes_options -l progress -d 'Show progress: auto, always or never' -r -f -a "auto\t'As a bar, where stderr is a terminal, records are not typed at one, and results go neither to one nor into a pipe'
always\t'As a bar where it can be one, else as a plain line every few seconds and at the end'
never\t'Not at all'"
complete -c mtask -n __mtask_takes_options -l desc -d 'What the progress calls this run' -r -f
complete -c mtask -n __mtask_takes_options -l total -d 'How many records there will be' -r -f
complete -c mtask -n __mtask_takes_options -l stats-file -d 'Write statistics to FILE, as JSON' -r -F
complete -c mtask -n __mtask_takes_options -l log -d 'Write what happens to each record to FILE' -r -F
complete -c mtask -n __mtask_takes_options -l metrics-file -d 'Write counts to FILE every 15 s, for Prometheus' -r -F
complete -c mtask -n __mtask_takes_options -l report -d 'Show the run in FILE, a page for a browser' -r -F
complete -c mtask -n __mtask_takes_options -l generate -d 'Print the man page or a shell\'s completions' -r -f -a "man\t'The man page'
bash\t'Completions for bash'
zsh\t'Completions for zsh'
fish\t'Completions for fish'
elvish\t'Completions for elvish'
powershell\t'Completions for PowerShell'"
complete -c mtask -n __mtask_takes_options -l pass-errors -d 'Pass error records in the input on as they are'
complete -c mtask -n __mtask_takes_options -s 0 -l null -d 'Records end with NUL instead of newline'
complete -c mtask -n __mtask_takes_options -l pin -d 'Run each worker on CPUs of its own'
complete -c mtask -n __mtask_takes_options -l tag-stderr -d 'Put `[worker 2] ` before lines of their stderr'
complete -c mtask -n __mtask_takes_options -s k -d 'Results in input order, the default'
complete -c mtask -n __mtask_takes_options -s u -l unordered -d 'Results as they finish, not in input order'
complete -c mtask -n __mtask_takes_options -l join -d 'Join the outputs of all shards'
complete -c mtask -n __mtask_takes_options -l retry-failed -d 'Try again what failed, and put it in its place'
complete -c mtask -n __mtask_takes_options -l at-most-once -d 'Never send a record twice, even if its worker died'
complete -c mtask -n __mtask_takes_options -l stats -d 'Where the workers\' time went, on stderr at the end'
complete -c mtask -n __mtask_takes_options -s q -l quiet -d 'Errors only: no hints, warnings or summary'
complete -c mtask -n __mtask_takes_options -l dry-run -d 'Print the workers\' command lines, start nothing'
complete -c mtask -n __mtask_takes_options -s h -l help -d 'Print help; --help tells more'
complete -c mtask -n __mtask_takes_options -s V -l version -d 'Print the version'
complete -c mtask -x -a "(__fish_complete_subcommand -- -i -a --input --shard --format --field --max-record -j -P --jobs --protocol --answer-end --record-end --worker-arg --shared-arg --gpus --threads --max-worker-memory --lifespan --python --each --argument-type --batch --concurrency -o --output --output-format --merge --errors --exits --error-input --resume --window --rate --buffer --on-error --max-errors --timeout --init-timeout --retries --retry-delay --max-restarts --exit-timeout --grace --progress --desc --total --stats-file --log --metrics-file --report --generate)"
