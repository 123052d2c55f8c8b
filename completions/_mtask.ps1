
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'mtask' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'mtask'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'mtask' {
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Read records from FILE, not stdin; again for more')
            [CompletionResult]::new('--input', '--input', [CompletionResultType]::ParameterName, 'Read records from FILE, not stdin; again for more')
            [CompletionResult]::new('--shard', '--shard', [CompletionResultType]::ParameterName, 'Take the Kth of N shards of the input files')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What a record is: lines, jsonl, csv or tsv')
            [CompletionResult]::new('--field', '--field', [CompletionResultType]::ParameterName, 'Send only the value of KEY in each record')
            [CompletionResult]::new('--max-record', '--max-record', [CompletionResultType]::ParameterName, 'The longest record and the longest answer')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'How many [default: one for each usable CPU]')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'How many [default: one for each usable CPU]')
            [CompletionResult]::new('--protocol', '--protocol', [CompletionResultType]::ParameterName, 'Their protocol: lines or json')
            [CompletionResult]::new('--answer-end', '--answer-end', [CompletionResultType]::ParameterName, 'An answer is all lines up to one that is TEXT')
            [CompletionResult]::new('--record-end', '--record-end', [CompletionResultType]::ParameterName, 'Send a line that is TEXT after each record')
            [CompletionResult]::new('--worker-arg', '--worker-arg', [CompletionResultType]::ParameterName, 'An argument of one worker''s own; again for each')
            [CompletionResult]::new('--shared-arg', '--shared-arg', [CompletionResultType]::ParameterName, 'Added to every worker''s argument; again for more')
            [CompletionResult]::new('--gpus', '--gpus', [CompletionResultType]::ParameterName, 'A GPU for each worker: all, or a list as 0,2')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads that numeric libraries start: auto, N or keep')
            [CompletionResult]::new('--max-worker-memory', '--max-worker-memory', [CompletionResultType]::ParameterName, 'Replace a worker that holds more memory [default: never]')
            [CompletionResult]::new('--lifespan', '--lifespan', [CompletionResultType]::ParameterName, 'Replace a worker''s process after N records [default: never]')
            [CompletionResult]::new('--python', '--python', [CompletionResultType]::ParameterName, 'Call a Python function or class with each record')
            [CompletionResult]::new('--each', '--each', [CompletionResultType]::ParameterName, 'Start COMMAND anew for each record, in its arguments')
            [CompletionResult]::new('--argument-type', '--argument-type', [CompletionResultType]::ParameterName, 'A record as single argument, args or kwargs')
            [CompletionResult]::new('--batch', '--batch', [CompletionResultType]::ParameterName, 'Call with lists of up to N records')
            [CompletionResult]::new('--concurrency', '--concurrency', [CompletionResultType]::ParameterName, 'Have up to N calls under way in each worker')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write results to FILE instead of stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write results to FILE instead of stdout')
            [CompletionResult]::new('--output-format', '--output-format', [CompletionResultType]::ParameterName, 'Results as raw, envelope, pair or text')
            [CompletionResult]::new('--merge', '--merge', [CompletionResultType]::ParameterName, 'Write each input object with KEY set to its result')
            [CompletionResult]::new('--errors', '--errors', [CompletionResultType]::ParameterName, 'Write error records to FILE, not among results')
            [CompletionResult]::new('--exits', '--exits', [CompletionResultType]::ParameterName, 'Write what workers say at their ends to FILE')
            [CompletionResult]::new('--error-input', '--error-input', [CompletionResultType]::ParameterName, 'What an error record holds of its record: whole or none')
            [CompletionResult]::new('--resume', '--resume', [CompletionResultType]::ParameterName, 'Keep a journal, or go on from it')
            [CompletionResult]::new('--window', '--window', [CompletionResultType]::ParameterName, 'Records at a worker: auto, N or full')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Send at most N records a second, minute or hour')
            [CompletionResult]::new('--buffer', '--buffer', [CompletionResultType]::ParameterName, 'Hold at most so many bytes')
            [CompletionResult]::new('--on-error', '--on-error', [CompletionResultType]::ParameterName, 'When a record fails: defer, ignore, raise or drain')
            [CompletionResult]::new('--max-errors', '--max-errors', [CompletionResultType]::ParameterName, 'Send nothing new after N failures, or N%')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'The limit for one record [default: none]')
            [CompletionResult]::new('--init-timeout', '--init-timeout', [CompletionResultType]::ParameterName, 'The limit for a worker''s first answer')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'How often to try a failed record again')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'How long a failed record waits before that')
            [CompletionResult]::new('--max-restarts', '--max-restarts', [CompletionResultType]::ParameterName, 'Give a worker up after N deaths without an answer')
            [CompletionResult]::new('--exit-timeout', '--exit-timeout', [CompletionResultType]::ParameterName, 'How long a worker may take to exit at its end')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'The time between SIGTERM and SIGKILL')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show progress: auto, always or never')
            [CompletionResult]::new('--desc', '--desc', [CompletionResultType]::ParameterName, 'What the progress calls this run')
            [CompletionResult]::new('--total', '--total', [CompletionResultType]::ParameterName, 'How many records there will be')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write statistics to FILE, as JSON')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write what happens to each record to FILE')
            [CompletionResult]::new('--metrics-file', '--metrics-file', [CompletionResultType]::ParameterName, 'Write counts to FILE every 15 s, for Prometheus')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Show the run in FILE, a page for a browser')
            [CompletionResult]::new('--generate', '--generate', [CompletionResultType]::ParameterName, 'Print the man page or a shell''s completions')
            [CompletionResult]::new('--pass-errors', '--pass-errors', [CompletionResultType]::ParameterName, 'Pass error records in the input on as they are')
            [CompletionResult]::new('-0', '-0', [CompletionResultType]::ParameterName, 'Records end with NUL instead of newline')
            [CompletionResult]::new('--null', '--null', [CompletionResultType]::ParameterName, 'Records end with NUL instead of newline')
            [CompletionResult]::new('--pin', '--pin', [CompletionResultType]::ParameterName, 'Run each worker on CPUs of its own')
            [CompletionResult]::new('--tag-stderr', '--tag-stderr', [CompletionResultType]::ParameterName, 'Put `[worker 2] ` before lines of their stderr')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Results in input order, the default')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'Results as they finish, not in input order')
            [CompletionResult]::new('--unordered', '--unordered', [CompletionResultType]::ParameterName, 'Results as they finish, not in input order')
            [CompletionResult]::new('--join', '--join', [CompletionResultType]::ParameterName, 'Join the outputs of all shards')
            [CompletionResult]::new('--retry-failed', '--retry-failed', [CompletionResultType]::ParameterName, 'Try again what failed, and put it in its place')
            [CompletionResult]::new('--at-most-once', '--at-most-once', [CompletionResultType]::ParameterName, 'Never send a record twice, even if its worker died')
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Where the workers'' time went, on stderr at the end')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Errors only: no hints, warnings or summary')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Errors only: no hints, warnings or summary')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the workers'' command lines, start nothing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help; --help tells more')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help; --help tells more')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print the version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print the version')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
