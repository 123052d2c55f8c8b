//! What would have kept the workers busy.

use std::time::Duration;

use super::account::{Account, Reason};

/// With this much of the time spent on work nothing is said.
const GOOD: f64 = 0.8;

/// A pending about the main reason for which workers did not work, where they did so for less than
/// 80 % of the time.
pub(super) fn advice(account: &Account) -> Option<String> {
    let working = account.share(account.total().working);
    if working >= GOOD || account.records == 0 {
        return None;
    }
    let (reason, time) = account.lost.iter().max_by_key(|(_, time)| **time)?;
    let lost = percent(account.share(*time));
    let jobs = account.workers.len();
    let why = match reason {
        Reason::Starting => format!(
            "starting up took {lost} of it; a longer run, or fewer workers (-j), would make more of it"
        ),
        Reason::Input => {
            let few = enough(account, jobs, working, *time);
            format!("for {lost} of it the input gave nothing{few}")
        }
        Reason::Output => {
            let few = enough(account, jobs, working, *time);
            format!(
                "for {lost} of it nobody took the output: its reader is slower than the workers{few}"
            )
        }
        Reason::Order => format!(
            "for {lost} of it --buffer was full of results that waited for a slow record's; -u writes them \
             as they finish, a larger --buffer lets workers go on for longer"
        ),
        Reason::End if account.records < jobs as u64 => format!(
            "there were fewer records than workers; -j {} would do",
            account.records
        ),
        Reason::End => format!(
            "for {lost} of it no records were left for all workers; slow records first, or fewer workers \
             (-j), would waste less"
        ),
        Reason::Quicker => format!(
            "for {lost} of it the last records were left to workers that are clearly quicker; fewer workers \
             (-j), all of them alike, would waste less"
        ),
        Reason::Check => format!(
            "for {lost} of it they were watched for lines that answer nothing; workers that speak JSON \
             (--protocol json) need no such check"
        ),
        Reason::Restart => format!(
            "for {lost} of it processes were being replaced, or records of dead ones tried alone; see the \
             messages above"
        ),
        Reason::Retry => format!(
            "for {lost} of it what was left waited to be tried again; a shorter --retry-delay, or fewer \
             failures, would waste less"
        ),
        Reason::Asked => format!(
            "for {lost} of it they waited because they had asked to (retry_after): what they ask for \
             allows no more, so fewer workers (-j), or more keys (--worker-arg), are the way out"
        ),
        Reason::Rate => {
            let few = enough(account, jobs, working, *time);
            format!("for {lost} of it --rate let no more through{few}")
        }
        Reason::Exiting => format!(
            "for {lost} of it they were exiting; see what they do after the end of their stdin"
        ),
    };
    Some(format!(
        "the workers worked {} of the time: {why}",
        percent(working)
    ))
}

/// How many workers would have done, if fewer than there are.
fn enough(account: &Account, jobs: usize, working: f64, waiting: Duration) -> String {
    let waiting = account.share(waiting);
    let few = (jobs as f64 * working / (working + waiting)).ceil().max(1.0) as usize;
    if few < jobs {
        format!("; -j {few} would do")
    } else {
        String::new()
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::account::{Share, Times};
    use super::*;

    /// Four workers that worked for so many of 100 seconds, and did not for this reason.
    fn account(working: u64, reason: Reason) -> Account {
        let lost = Duration::from_secs(100 - working);
        let times = Times {
            working: Duration::from_secs(working),
            waiting: lost,
            ..Times::default()
        };
        Account {
            wall: Duration::from_secs(100),
            records: 1000,
            workers: vec![
                Share {
                    times,
                    ..Share::default()
                };
                4
            ],
            lost: BTreeMap::from([(reason, lost * 4), (Reason::Exiting, Duration::ZERO)]),
            ..Account::default()
        }
    }

    #[track_caller]
    fn assert_advice(working: u64, reason: Reason, expected: &[&str]) {
        let advice = advice(&account(working, reason)).unwrap();
        for text in expected {
            assert!(advice.contains(text), "{advice:?} lacks {text:?}");
        }
    }

    #[test]
    fn busy_workers_need_no_advice() {
        assert_eq!(advice(&account(80, Reason::Input)), None);
        assert!(advice(&account(79, Reason::Input)).is_some());
        assert_eq!(advice(&Account::default()), None);
    }

    #[test]
    fn each_reason_has_its_way_out() {
        assert_advice(
            30,
            Reason::Starting,
            &["worked 30% of", "starting up took 70%", "-j"],
        );
        assert_advice(
            30,
            Reason::Input,
            &["for 70% of it the input gave nothing", "-j 2 would do"],
        );
        assert_advice(
            20,
            Reason::Output,
            &["nobody took the output", "-j 1 would do"],
        );
        assert_advice(20, Reason::Order, &["-u", "--buffer"]);
        assert_advice(20, Reason::End, &["no records were left"]);
        assert_advice(20, Reason::Quicker, &["left to workers", "quicker", "-j"]);
        assert_advice(20, Reason::Check, &["watched", "--protocol json"]);
        assert_advice(20, Reason::Restart, &["replaced"]);
        assert_advice(20, Reason::Asked, &["retry_after", "-j", "--worker-arg"]);
        assert_advice(20, Reason::Rate, &["for 80% of it --rate", "-j 1 would do"]);
        assert_advice(20, Reason::Retry, &["tried again", "--retry-delay"]);
        assert_advice(20, Reason::Exiting, &["exiting"]);
    }

    #[test]
    fn as_many_workers_as_there_are_are_not_called_enough() {
        let advice = advice(&account(79, Reason::Input)).unwrap();
        assert!(!advice.contains("-j"), "{advice}");
    }

    #[test]
    fn more_workers_than_records_are_too_many() {
        let few = Account {
            records: 2,
            ..account(30, Reason::End)
        };
        assert!(advice(&few).unwrap().ends_with("-j 2 would do"));
    }
}
