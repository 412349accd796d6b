//! Which rows each node has: lists of row numbers, one node's after another's, parted in place.

use super::jobs;
use crate::learning::fault::Fault;

/// From so many rows on threads share the work.
const PARALLEL: usize = 1 << 14;

/// Where a node's rows stand in an [`Order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first place.
    pub start: usize,
    /// Behind the last place.
    pub end: usize,
}

impl Span {
    /// How many rows.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Row numbers, rising within every node.
#[derive(Default)]
pub struct Order(Vec<u32>);

/// One node's rows while they are parted; `left` is how many went left.
struct Part<'a> {
    rows: &'a mut [u32],
    split: usize,
    left: &'a mut usize,
}

impl Order {
    /// All in one node.
    pub fn reset(&mut self, rows: impl Iterator<Item = u32>) -> Span {
        self.0.clear();
        self.0.extend(rows);
        Span {
            start: 0,
            end: self.0.len(),
        }
    }

    /// The rows of a node.
    pub fn rows(&self, span: Span) -> &[u32] {
        &self.0[span.start..span.end]
    }

    /// Parts the rows of nodes, each into those that `goes_left(split, row)` and the others, in their order.
    /// Spans do not overlap. Returns the two spans of each.
    pub fn part(
        &mut self,
        spans: &[Span],
        threads: usize,
        goes_left: impl Fn(usize, u32) -> bool + Sync + Send,
    ) -> Result<Vec<(Span, Span)>, Fault> {
        let mut counts = vec![0; spans.len()];
        let mut places: Vec<usize> = (0..spans.len()).collect();
        places.sort_unstable_by_key(|place| spans[*place].start);
        let mut targets: Vec<Option<&mut usize>> = counts.iter_mut().map(Some).collect();
        let mut parts = Vec::with_capacity(spans.len());
        let mut rest = self.0.as_mut_slice();
        let mut gone = 0;
        for split in places {
            let span = spans[split];
            // An empty span may stand anywhere, also inside another.
            let (false, Some(left)) = (span.is_empty(), targets[split].take()) else {
                continue;
            };
            let (_, behind) = rest.split_at_mut(span.start - gone);
            let (rows, behind) = behind.split_at_mut(span.len());
            (rest, gone) = (behind, span.end);
            parts.push(Part { rows, split, left });
        }
        let total: usize = parts.iter().map(|part| part.rows.len()).sum();
        let threads = if total < PARALLEL { 1 } else { threads };
        jobs::each(parts, threads, |part| {
            *part.left = parted(part.rows, |row| goes_left(part.split, row));
        })?;
        let both = spans.iter().zip(counts).map(|(span, left)| {
            let middle = span.start + left;
            (
                Span {
                    start: span.start,
                    end: middle,
                },
                Span {
                    start: middle,
                    end: span.end,
                },
            )
        });
        Ok(both.collect())
    }
}

/// Moves the rows that go left to the front; both sides keep their order. No branch depends on a row: half of
/// such branches would be guessed wrong.
fn parted(rows: &mut [u32], goes_left: impl Fn(u32) -> bool) -> usize {
    let mut right = vec![0; rows.len()];
    let (mut lefts, mut rights) = (0, 0);
    for place in 0..rows.len() {
        let row = rows[place];
        let left = usize::from(goes_left(row));
        rows[lefts] = row;
        right[rights] = row;
        lefts += left;
        rights += 1 - left;
    }
    rows[lefts..].copy_from_slice(&right[..rights]);
    lefts
}

#[cfg(test)]
mod tests {
    use super::{Order, Span};

    #[test]
    fn rows_keep_their_order_and_other_nodes_stay() {
        let mut order = Order::default();
        let root = order.reset(0..100_000);
        let both = order.part(&[root], 2, |_, row| row % 3 == 0).unwrap();
        let (left, right) = both[0];
        assert_eq!(left.len(), 33_334);
        assert!(
            order
                .rows(left)
                .iter()
                .enumerate()
                .all(|(at, row)| *row == 3 * at as u32)
        );
        assert!(order.rows(right).is_sorted());
        let before = order.rows(left).to_vec();
        let empty = Span { start: 7, end: 7 };
        let spans = [right, empty];
        let parts = order
            .part(&spans, 2, |split, row| {
                assert_eq!(split, 0);
                row < 50
            })
            .unwrap();
        assert_eq!(order.rows(left), before);
        assert_eq!(
            order.rows(parts[0].0),
            (0..50).filter(|row| row % 3 != 0).collect::<Vec<_>>()
        );
        assert_eq!(parts[0].1.len(), 66_666 - 33);
        assert_eq!(parts[1], (empty, empty));
    }
}
