//! The committed completions, in the shells they are for.

use std::path::Path;

use crate::env::{TestEnv, skip};
use crate::examples::is_installed;

/// What is typed, and what is to be offered and what not.
const TYPED: &[(&str, &[&str], &[&str])] = &[
    ("mtask --in", &["--input", "--init-timeout"], &["--jobs"]),
    (
        "mtask --format ",
        &["lines", "jsonl"],
        &["--input", "notes"],
    ),
    ("mtask --on-error d", &["defer", "drain"], &["raise"]),
    ("mtask -i no", &["notes"], &["--null"]),
    ("mtask --errors no", &["notes"], &["nohup"]),
    ("mtask nohu", &["nohup"], &["notes"]),
    ("mtask -j 4 nohu", &["nohup"], &["notes"]),
    ("mtask -j4 --null -- nohu", &["nohup"], &[]),
    ("mtask -i notes cat no", &["notes"], &["nohup"]),
    ("mtask cat --in", &[], &["--input"]),
];

fn committed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(name);
    path.into_os_string().into_string().expect("a UTF-8 path")
}

/// Completes each of the lines in a folder with the file `notes`, by a script that prints what the
/// shell offers for the line in `$LINE`.
fn check(shell: &str, scripts: &[(&str, &str)], command: &str, typed: &[(&str, &[&str], &[&str])]) {
    if !is_installed(shell) {
        return skip(&format!("{shell} is not installed"));
    }
    for (line, offered, not_offered) in typed {
        let env = TestEnv::new();
        env.write("notes", "");
        for (name, text) in scripts {
            env.write(name, text);
        }
        let done = env.sh(&format!("export TERM=dumb LINE='{line}'\n{command}"));
        let seen = String::from_utf8_lossy(&done.stdout).into_owned();
        let has = |word: &str| seen.split([' ', '\t', '\n', '\r']).any(|seen| seen == word);
        for word in *offered {
            done.check(
                has(word),
                &format!("{shell}, {line:?}: {word} is not offered"),
            );
        }
        for word in *not_offered {
            done.check(!has(word), &format!("{shell}, {line:?}: {word} is offered"));
        }
    }
}

const BASH: &str = r#"
. "$1"
read -ra COMP_WORDS <<< "$LINE"
[[ $LINE != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
COMP_LINE=$LINE COMP_POINT=${#LINE}
compopt() { :; }
registered=$(complete -p mtask)
function=${registered#*-F }
"${function%% *}" mtask "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
# What `complete -o default` falls back to.
(( ${#COMPREPLY[@]} )) || mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes_options_values_files_and_the_command() {
    let run = format!("exec bash --norc complete '{}'", committed("mtask.bash"));
    check("bash", &[("complete", BASH)], &run, TYPED);
    let more: &[(&str, &[&str], &[&str])] = &[
        ("mtask --format = j", &["jsonl"], &["lines", "--jobs"]),
        ("mtask --format =", &["jsonl", "lines"], &[]),
        ("mtask --input = notes nohu", &["nohup"], &[]),
    ];
    check("bash", &[("complete", BASH)], &run, more);
}

#[test]
fn fish_completes_options_values_files_and_the_command() {
    let run = format!(
        "exec fish --no-config -c 'source {}; complete -C \"$LINE\"'",
        committed("mtask.fish")
    );
    check("fish", &[], &run, TYPED);
    let more: &[(&str, &[&str], &[&str])] = &[("mtask --format=j", &["--format=jsonl"], &[])];
    check("fish", &[], &run, more);
}

/// An interactive zsh on a terminal of its own, which lists what it would complete.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT= fpath=($1 \$fpath) LISTMAX=10000; autoload -Uz compinit; compinit -u -D; bindkey '^I' list-choices; unsetopt list_beep; say_end() { print -r EN''D }; zle -N say_end; bindkey '^X' say_end; print -r REA''DY"
until zpty -r z chunk '*READY*'; do :; done
zpty -w -n z "$LINE"$'\t\C-x'
zpty -r z chunk '*END*'
print -r -- "$chunk" | sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g'
zpty -d z
"#;

#[test]
fn zsh_completes_options_values_files_and_the_command() {
    let folder = committed("_mtask").replace("/_mtask", "");
    let run = format!("exec zsh -f complete '{folder}'");
    check("zsh", &[("complete", ZSH)], &run, TYPED);
}

/// Elvish completes only where it has a terminal; it narrows what is offered down by itself.
const ELVISH: &str = r"
eval (slurp < $E:SCRIPT)
use str
var words = [(str:split ' ' $E:LINE)]
for candidate [($edit:completion:arg-completer[mtask] $@words)] {
  if (eq (kind-of $candidate) string) { echo $candidate >> offered } else { echo $candidate[stem] >> offered }
}
exit
";

#[test]
fn elvish_completes_options_values_files_and_the_command() {
    if !is_installed("script") {
        return skip("script, which gives elvish a terminal, is not installed");
    }
    let run = format!(
        "export SCRIPT='{}'; : > offered\n\
         script -qec 'elvish -rc rc.elv' /dev/null </dev/null >/dev/null; cat offered",
        committed("mtask.elv")
    );
    let typed: &[(&str, &[&str], &[&str])] = &[
        ("mtask --in", &["--input", "--init-timeout"], &[]),
        (
            "mtask --format ",
            &["lines", "jsonl"],
            &["--input", "notes"],
        ),
        ("mtask -i no", &["notes"], &["--null"]),
        ("mtask nohu", &["nohup"], &["notes", "--null"]),
        ("mtask -j 4 nohu", &["nohup"], &["notes"]),
        ("mtask cat no", &["notes"], &["nohup"]),
    ];
    check("elvish", &[("rc.elv", ELVISH)], &run, typed);
}
