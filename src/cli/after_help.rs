//! What the help says after the options.

const EXAMPLES: &str = "\
Examples:
  seq 100000 | mtask sed -u 's/$/!/'
      Any filter that flushes line by line is a worker, one for each CPU.
  mtask -i urls.txt -j 8 --timeout 30s --errors failed.jsonl python3 fetch.py
      Eight workers, 30 s for each record, failures in a file of their own.
  mtask -u --worker-arg gpu=0 --worker-arg gpu=1 ./infer --device {gpu} <in >out
      Two workers, each with a device of its own; results as they finish.
  mtask --worker-arg gpu=0 --worker-arg gpu=1 --python embed.py:Embedder <in
      Two instances of a Python class, each called with the JSON records it gets.
  timeout --preserve-status -s USR2 55m mtask --resume journal -i in -o out ./model
      Ends in time, with what was sent; the same command line goes on from there.";

const VALUES: &str = "\
Values:
  DURATION  a number with ms, s, m, h or d, or several as in 1m30s; bare, seconds
  SIZE      a number of bytes, or a number with K, M or G (KiB, MiB, GiB),
            powers of 1024, or with KB, MB or GB, powers of 1000";

const EXIT_STATUSES: &str = "\
Exit status:
  0         every record gave a result (or --on-error ignore)
  1         input not read, output not written, or an internal fault
  2         usage
  122       a worker did not answer line by line: results may be misplaced
  123       a record failed, or a worker failed at its end
  125       no worker could be kept running
  126       COMMAND is not executable
  127       COMMAND was not found
  128+n     ended by signal n

`man mtask`, or `mtask --generate man | man -l -`, tells the whole story.";

/// After the help that fits on a screen.
pub(super) const SHORT: &str = "\
Examples:
  seq 100000 | mtask sed -u 's/$/!/'
  mtask -i urls.txt -j 8 --timeout 30s --errors failed.jsonl python3 fetch.py
  mtask -u --worker-arg gpu=0 --worker-arg gpu=1 ./infer --device {gpu} <in >out
  mtask --worker-arg gpu=0 --worker-arg gpu=1 --python embed.py:Embedder <in";

/// After the long help.
pub(super) fn long() -> String {
    [EXAMPLES, VALUES, EXIT_STATUSES].join("\n\n")
}
