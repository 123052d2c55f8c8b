//! What workers were given of the machine and what they held of it, as `--stats` says it.

use super::account::Account;
use super::text::size;

/// What stands before what goes on on a line of its own.
const INDENT: &str = "    ";

/// How many threads numeric libraries were told to start, if they were, and how not to tell them.
pub(super) fn threads(account: &Account, most: usize) -> String {
    let told = || account.workers.iter().filter_map(|worker| worker.threads);
    let (Some(fewest), Some(highest)) = (told().min(), told().max()) else {
        return String::new();
    };
    let number = match (fewest, highest) {
        (1, 1) => "1 thread".to_owned(),
        (fewest, highest) if fewest == highest => format!("{fewest} threads"),
        (fewest, highest) => format!("{fewest}-{highest} threads"),
    };
    let number = format!("numeric libraries: {number} a worker");
    let way_out = "(--threads keep: as they choose)";
    match number.len() + 1 + way_out.len() {
        columns if columns <= most => format!("{number} {way_out}\n"),
        _ => format!("{number}\n{INDENT}{way_out}\n"),
    }
}

/// The most memory that each worker has held, where that is known of any, and how many processes were
/// replaced for it.
pub(super) fn memory(account: &Account, most: usize) -> String {
    let mut text = String::new();
    if account.workers.iter().any(|worker| worker.peak.is_some()) {
        text += "peak memory:";
        let mut column = text.len();
        for worker in &account.workers {
            let peak = worker.peak.map_or_else(|| "?".into(), size);
            if column + 1 + peak.len() > most {
                text += "\n   ";
                column = INDENT.len() - 1;
            }
            text += &format!(" {peak}");
            column += 1 + peak.len();
        }
        text.push('\n');
    }
    let outgrown: u32 = account.workers.iter().map(|worker| worker.outgrown).sum();
    if outgrown > 0 {
        text += &format!("replaced for memory: {outgrown}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::account::Share;
    use super::*;

    /// Two workers.
    fn account() -> Account {
        Account {
            workers: vec![Share::default(); 2],
            ..Account::default()
        }
    }

    #[test]
    fn what_numeric_libraries_are_told_is_told() {
        let mut account = account();
        for (told, expected) in [
            (
                [1, 1],
                "libraries: 1 thread a worker (--threads keep: as they choose)\n",
            ),
            ([4, 4], "libraries: 4 threads a worker"),
            ([3, 2], "libraries: 2-3 threads a worker"),
        ] {
            account.workers.iter_mut().zip(told).for_each(|(it, told)| it.threads = Some(told));
            let text = threads(&account, 80);
            assert!(text.contains(expected), "{text}");
            assert!(threads(&account, 40).lines().all(|line| line.len() <= 40));
        }
    }

    #[test]
    fn what_workers_held_is_told_where_it_is_known() {
        let mut account = account();
        assert_eq!(memory(&account, 80), "");
        account.workers[1].peak = Some(212 << 20);
        account.workers[1].outgrown = 3;
        let expected = "peak memory: ? 212M\nreplaced for memory: 3\n";
        assert_eq!(memory(&account, 80), expected);
        account.workers = vec![account.workers[1]; 30];
        account.workers[2].peak = Some(9 << 29);
        let text = memory(&account, 40);
        assert!(
            text.starts_with("peak memory: 212M 212M 4.5G 212M 212M\n    212M"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() <= 40), "{text}");
    }
}
