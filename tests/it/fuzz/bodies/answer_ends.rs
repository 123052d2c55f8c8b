use mtask::budget::Budget;
use mtask::protocol::message::Message;
use mtask::protocol::several::{BegunAnswer, EndOfAnswer};
use mtask::protocol::stdout::StdoutLines;
use mtask::record::Separator;

/// Reads the bytes as answers of several lines, piece by piece.
pub(crate) fn answer_ends(mut data: &[u8]) {
    let max = [5, 60, 1 << 20][super::take(&mut data) % 3];
    let line: &'static [u8] = [&b"0"[..], b"", b"}0"][super::take(&mut data) % 3];
    let piece = super::take(&mut data) % 40 + 1;
    let mut owed = super::take(&mut data) % 10;
    let asked = owed;
    let budget = Budget::new(1 << 30);
    let mut stdout = StdoutLines::new(Separator::Newline, max, &budget);
    let (end, mut answer) = (
        EndOfAnswer::new(line, Separator::Newline),
        BegunAnswer::new(max, &budget),
    );
    let mut said = Vec::new();
    let mut stray = None;
    let mut buffer = Vec::with_capacity(256);
    for read in data.chunks(piece) {
        buffer.clear();
        stdout.lead(&mut buffer);
        buffer.extend_from_slice(read);
        stdout.cut(&mut buffer, |part| {
            end.read(part, &mut answer, &mut owed, |message| match message {
                Message::Results(1, lines) => said.push(Some(lines.to_vec())),
                Message::TooLarge => said.push(None),
                Message::Stray(line) => stray = stray.take().or(Some(line.to_vec())),
                other => panic!("{other:?}"),
            });
        });
    }
    let mut expected = Vec::new();
    let (mut begun, mut is_too_large) = (Vec::new(), false);
    let whole = data.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut lines = data[..whole].split_inclusive(|byte| *byte == b'\n');
    while expected.len() < asked
        && let Some(next) = lines.next()
    {
        if next[..next.len() - 1] != *line || next.len() > max + 1 {
            begun.extend_from_slice(next);
            is_too_large |= next.len() > max + 1 || begun.len() > max + 1;
            continue;
        }
        let bytes = std::mem::take(&mut begun);
        expected.push((!std::mem::take(&mut is_too_large)).then_some(bytes));
    }
    assert_eq!(said, expected);
    assert_eq!(
        stray.is_some(),
        expected.len() == asked && lines.next().is_some()
    );
    drop((answer, stdout));
    assert_eq!(budget.held(), 0);
}
