//! Completions. Those of `clap_complete` know the options and their values; what they lack is that
//! options end at COMMAND, and that COMMAND completes as if it stood alone.

use clap::{Arg, Command, ValueHint};
use clap_complete::Shell;

/// For bash 4.4 and newer, with or without bash-completion.
pub(super) fn bash(command: &Command) -> String {
    let of_clap = generated(Shell::Bash, command);
    let registration = of_clap
        .find("\nif [[ \"${BASH_VERSINFO[0]}\" -eq 4 ")
        .expect("the function is registered at the end");
    let functions = &of_clap[..registration];
    let with_value = with_value(command).join("|");
    format!(
        r#"{functions}
# Options end at COMMAND, which completes as if it stood alone.
_mtask_or_command() {{
    local i=1 cur=$2 prev=$3 takes_options=yes
    while (( i < COMP_CWORD )); do
        case ${{COMP_WORDS[i]}} in
            --) takes_options=; (( i += 1 )); break ;;
            {with_value}) (( i += 2 )); [[ ${{COMP_WORDS[i-1]}} != = ]] || (( i += 1 )) ;;
            -*) (( i += 1 )) ;;
            *) break ;;
        esac
    done
    if (( i > COMP_CWORD )) || [[ $i -eq $COMP_CWORD && $takes_options && $cur == -* ]]; then
        # --option=value is three words.
        if [[ $cur == = ]]; then
            cur=
        elif [[ $prev == = ]]; then
            prev=${{COMP_WORDS[COMP_CWORD-2]}}
        fi
        _mtask "$1" "$cur" "$prev"
    elif declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$i"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$i"
    elif (( i == COMP_CWORD )); then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
    fi
}}

complete -F _mtask_or_command -o nosort -o bashdefault -o default mtask
"#
    )
}

/// For zsh.
pub(super) fn zsh(command: &Command) -> String {
    let of_clap = generated(Shell::Zsh, command);
    let options = "_arguments_options=(-s -S -C)";
    assert!(
        of_clap.contains(options),
        "zsh's options are where they were"
    );
    // Nothing behind the first operand is an option of mtask's.
    of_clap.replace(options, "_arguments_options=(-s -S -C -A '-*')")
}

/// For fish.
pub(super) fn fish(command: &Command) -> String {
    let of_clap = generated(Shell::Fish, command);
    let of_clap = of_clap.replace(
        "complete -c mtask ",
        "complete -c mtask -n __mtask_takes_options ",
    );
    let with_value = with_value(command).join(" ");
    format!(
        r#"# Options end at COMMAND, which completes as if it stood alone.
function __mtask_takes_options
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --
                return 1
            case {with_value}
                set -e words[1]
            case '-*'
            case '*'
                return 1
        end
        set -e words[1]
    end
    return 0
end

{of_clap}complete -c mtask -x -a "(__fish_complete_subcommand -- {with_value})"
"#
    )
}

/// For elvish: its own parser of options, which knows where COMMAND is.
pub(super) fn elvish(command: &Command) -> String {
    let mut specs = String::new();
    for option in options(command) {
        specs.push_str("\n    [");
        if let Some(short) = option.get_short() {
            specs.push_str(&format!("&short={} ", quoted(&short.to_string())));
        }
        if let Some(long) = option.get_long() {
            specs.push_str(&format!("&long={} ", quoted(long)));
        }
        if takes_value(option) {
            let values = match (option.get_possible_values(), option.get_value_hint()) {
                (values, _) if !values.is_empty() => {
                    let names: Vec<_> = values.iter().map(|v| quoted(v.get_name())).collect();
                    format!("put {}", names.join(" "))
                }
                (_, ValueHint::FilePath) => "edit:complete-filename $word".into(),
                _ => "nop".into(),
            };
            specs.push_str(&format!(
                "&arg-required=$true &completer={{|word| {values} }} "
            ));
        }
        let help = option.get_help().map(ToString::to_string);
        specs.push_str(&format!("&desc={}]", quoted(&help.unwrap_or_default())));
    }
    format!(
        r"set edit:completion:arg-completer[mtask] = {{|@words|
  var options = [{specs}
  ]
  var operands = [{{|word| edit:complete-sudo mtask $word }} {{|word| edit:complete-filename $word }} ...]
  edit:complete-getopt $words[1..] $options $operands
}}
"
    )
}

/// For PowerShell: options alone.
pub(super) fn powershell(command: &Command) -> String {
    generated(Shell::PowerShell, command)
}

fn generated(shell: Shell, command: &Command) -> String {
    // What is said to be neither a file nor anything else is no file.
    let mut command = command.clone().mut_args(|arg| match arg.get_value_hint() {
        ValueHint::Unknown if takes_value(&arg) => arg.value_hint(ValueHint::Other),
        _ => arg,
    });
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "mtask", &mut script);
    String::from_utf8(script).expect("the definition is UTF-8")
}

fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set())
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// The names of the options that take a value, those that are not shown included.
fn with_value(command: &Command) -> Vec<String> {
    let mut names = Vec::new();
    for option in options(command).filter(|option| takes_value(option)) {
        let shorts = option.get_short().into_iter();
        let shorts = shorts.chain(option.get_all_short_aliases().unwrap_or_default());
        names.extend(shorts.map(|short| format!("-{short}")));
        let longs = option.get_long().into_iter();
        let longs = longs.chain(option.get_all_aliases().unwrap_or_default());
        names.extend(longs.map(|long| format!("--{long}")));
    }
    names
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
