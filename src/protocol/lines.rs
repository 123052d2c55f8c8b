//! The lines protocol: each line answers the oldest record that is owed.

use memchr::memchr;

use super::stdout::Part;
use crate::outcome::Lines;
use crate::record::Separator;

/// What lines mean to a process that owes answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// So many answers, each followed by the separator.
    Results(usize, Lines<'a>),
    /// One answer, longer than it may be.
    TooLarge,
    /// A line that answers nothing. What follows it is left out.
    Stray(&'a [u8]),
}

/// Reads `part` as answers of a process that owed `owed` of them when it wrote it, and takes them
/// off.
///
/// What it is sent from now on it cannot have answered yet.
pub fn read<'a>(
    part: Part<'a>,
    owed: &mut usize,
    separator: Separator,
    mut take: impl FnMut(Answer<'a>),
) {
    let lines = match part {
        Part::Lines(lines) => lines,
        Part::Rest(lines) => Lines::Lent(lines),
        Part::TooLong(head, _) if *owed == 0 => return take(Answer::Stray(head)),
        Part::TooLong(..) => {
            *owed -= 1;
            return take(Answer::TooLarge);
        }
    };
    let count = separator.count(&lines);
    if count <= *owed {
        *owed -= count;
        return take(Answer::Results(count, lines));
    }
    let asked = std::mem::take(owed);
    let lines = lines.into_bytes();
    let mut stray = lines;
    if asked > 0 {
        let answered = separator
            .end_of(asked, lines)
            .expect("more lines than owed");
        take(Answer::Results(asked, Lines::Lent(&lines[..answered])));
        stray = &lines[answered..];
    }
    let end = memchr(separator.byte(), stray).expect("more lines than owed");
    take(Answer::Stray(&stray[..end]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(part: Part<'_>, mut owed: usize) -> Vec<Answer<'_>> {
        let mut answers = Vec::new();
        read(part, &mut owed, Separator::Newline, |answer| {
            answers.push(answer);
        });
        answers
    }

    #[test]
    fn lines_are_counted() {
        assert_eq!(
            read_all(Part::Lines(Lines::Lent(b"a\n\nb\n")), 3),
            [Answer::Results(3, Lines::Lent(b"a\n\nb\n"))]
        );
    }

    #[test]
    fn a_line_more_than_owed_is_stray() {
        assert_eq!(
            read_all(Part::Lines(Lines::Lent(b"a\nb\nc\nd\n")), 2),
            [
                Answer::Results(2, Lines::Lent(b"a\nb\n")),
                Answer::Stray(b"c")
            ]
        );
        assert_eq!(
            read_all(Part::Lines(Lines::Lent(b"ab\n")), 0),
            [Answer::Stray(b"ab")]
        );
    }

    #[test]
    fn a_long_line_is_an_answer_too_large_where_one_is_owed() {
        assert_eq!(read_all(Part::TooLong(b"xx", &[]), 1), [Answer::TooLarge]);
        assert_eq!(
            read_all(Part::TooLong(b"xx", &[]), 0),
            [Answer::Stray(b"xx")]
        );
    }
}
