//! What waits, and what is known of it.

use super::*;
use crate::budget::Budget;
use crate::input::Rejection;
use crate::record::Slice;

fn block(budget: &Budget, first: u64, text: &str) -> Block {
    budget.add(text.len() + BOOKKEEPING);
    Block {
        first: Index(first),
        count: text.matches('\n').count(),
        bytes: Slice::new(text.as_bytes().to_vec(), budget),
    }
}

#[test]
fn what_waits_is_counted_and_the_lowest_is_known() {
    let budget = Budget::new(1 << 20);
    let mut queue = Queue::new(Separator::Newline);
    assert_eq!(
        (queue.bytes(), queue.fresh_bytes(), queue.lowest()),
        (0, 0, None)
    );
    let now = Instant::now();
    let rejected = Rejected {
        index: Index(0),
        reason: Rejection::TooLarge { max: 1 },
    };
    queue.push_rejected(rejected, now);
    assert_eq!((queue.fresh_bytes(), queue.lowest()), (BOOKKEEPING, None));
    assert!(queue.pop_rejected().is_some());
    queue.push(block(&budget, 1, "a\nbb\nc\nd\n"), now);
    assert_eq!((queue.bytes(), queue.fresh_bytes()), (9, 9));
    assert_eq!(queue.lowest(), Some(Index(1)));
    let mut sent = queue.pop(3, usize::MAX, &[]).unwrap();
    let first = sent.cut(1, usize::MAX, Separator::Newline);
    assert_eq!((queue.bytes(), queue.lowest()), (2, Some(Index(4))));
    queue.put_back(Work {
        isolation: Isolation::Alone,
        ..sent
    });
    assert_eq!((queue.bytes(), queue.lowest()), (7, Some(Index(2))));
    assert_eq!((queue.together(), queue.alone()), (1, 2));
    queue.put_back(first);
    assert_eq!((queue.bytes(), queue.fresh_bytes()), (9, 2));
    assert_eq!(queue.lowest(), Some(Index(1)));
    queue.clear();
    assert!(queue.is_empty() && queue.bytes() == 0 && queue.fresh_bytes() == 0);
}
