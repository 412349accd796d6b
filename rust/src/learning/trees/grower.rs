//! One member's rows while trees grow on them.

use super::histogram::{Block, Pair, WIDTH, check_bound};
use super::spans::{Order, Span};
use super::{MOST_BINS, MOST_ROWS};
use crate::learning::fault::Fault;
use crate::ring::parallel::pool;
use rayon::prelude::*;

/// Numbers of nodes are below this.
pub const MOST_NODES: usize = 1 << 20;

/// The rows of a node: those that histograms count, and the others.
type Spans = [Span; 2];

/// How nodes are split; lists of one length.
pub struct Splits<'a> {
    /// Which nodes.
    pub nodes: &'a [i32],
    /// The feature of each.
    pub features: &'a [i32],
    /// Bins up to this go left.
    pub bins: &'a [u8],
    /// Whether the missing bin goes left.
    pub missing_left: &'a [bool],
    /// New numbers of the left children.
    pub left: &'a [i32],
    /// New numbers of the right children.
    pub right: &'a [i32],
}

impl Splits<'_> {
    fn check(&self) -> Result<(), Fault> {
        let length = self.nodes.len();
        let same = [
            self.features.len(),
            self.bins.len(),
            self.missing_left.len(),
            self.left.len(),
            self.right.len(),
        ];
        if same.iter().all(|other| *other == length) {
            Ok(())
        } else {
            Err(Fault::new("bad-length"))
        }
    }
}

/// Rows, their bins and gradients, and which node each is in.
pub struct Grower {
    rows: usize,
    features: usize,
    count: usize,
    threads: usize,
    blocks: Vec<Block>,
    pairs: Vec<Pair>,
    /// Rows that histograms count, and the others.
    orders: [Order; 2],
    nodes: Vec<Option<Spans>>,
}

impl Grower {
    /// `bins`: row after row, `features` each, below `count`; the last bin holds missing values.
    ///
    /// # Errors
    /// `bad-bins`, `bad-rows`, `bad-length`, `bad-threads`.
    pub fn new(bins: &[u8], features: usize, count: usize, threads: usize) -> Result<Self, Fault> {
        pool(threads)?;
        if features == 0 || bins.len() / features > MOST_ROWS {
            return Err(Fault::new("bad-rows"));
        }
        if !bins.len().is_multiple_of(features) {
            return Err(Fault::new("bad-length"));
        }
        let last = bins.iter().fold(0, |last: u8, bin| last.max(*bin));
        if !(2..=MOST_BINS).contains(&count) || usize::from(last) >= count {
            return Err(Fault::new("bad-bins"));
        }
        let blocks = (0..features)
            .step_by(WIDTH)
            .map(|first| Block::new(bins, features, first))
            .collect();
        Ok(Self {
            rows: bins.len() / features,
            features,
            count,
            threads,
            blocks,
            pairs: Vec::new(),
            orders: Default::default(),
            nodes: Vec::new(),
        })
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many features.
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many bins a feature has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Begins a tree: all rows in node 0; `sampled` says which ones histograms count.
    ///
    /// # Errors
    /// `bad-length`, `overflow`.
    pub fn reset(
        &mut self,
        gradients: &[i64],
        hessians: &[i64],
        sampled: Option<&[bool]>,
    ) -> Result<(), Fault> {
        let lengths = [gradients.len(), hessians.len()];
        if lengths.iter().any(|length| *length != self.rows)
            || sampled.is_some_and(|sampled| sampled.len() != self.rows)
        {
            return Err(Fault::new("bad-length"));
        }
        check_bound(gradients, self.rows)?;
        check_bound(hessians, self.rows)?;
        self.pairs.clear();
        self.pairs
            .extend(gradients.iter().zip(hessians).map(|(g, h)| [*g, *h]));
        let rows = 0..self.rows as u32;
        let [counted, others] = &mut self.orders;
        let spans = match sampled {
            None => [counted.reset(rows), others.reset(0..0)],
            Some(sampled) => [
                counted.reset(rows.clone().filter(|row| sampled[*row as usize])),
                others.reset(rows.filter(|row| !sampled[*row as usize])),
            ],
        };
        self.nodes.clear();
        self.nodes.push(Some(spans));
        Ok(())
    }

    fn spans(&self, node: i32) -> Result<Spans, Fault> {
        usize::try_from(node)
            .ok()
            .and_then(|node| self.nodes.get(node).copied().flatten())
            .ok_or(Fault::new("bad-node"))
    }

    /// The histograms of nodes: [node][feature][bin][2].
    ///
    /// # Errors
    /// `bad-node`, `no-memory`, `no-threads`.
    pub fn histograms(&self, nodes: &[i32]) -> Result<Vec<i64>, Fault> {
        let spans = nodes
            .iter()
            .map(|node| self.spans(*node))
            .collect::<Result<Vec<_>, _>>()?;
        let size = self.features * self.count * 2;
        let mut out: Vec<i64> = Vec::new();
        let total = nodes.len().checked_mul(size);
        let total = total.ok_or(Fault::new("no-memory"))?;
        out.try_reserve_exact(total)
            .map_err(|_| Fault::new("no-memory"))?;
        out.resize(total, 0);
        let part = WIDTH * self.count * 2;
        let parallel = self.threads > 1;
        let one = |(node, place): (usize, &mut [i64])| {
            let rows = self.orders[0].rows(spans[node][0]);
            let fill = |(block, place): (&Block, &mut [i64])| {
                block.fill(rows, &self.pairs, self.count, place, parallel);
            };
            if parallel {
                let parts = place.par_chunks_mut(part);
                self.blocks.par_iter().zip(parts).for_each(fill);
            } else {
                self.blocks
                    .iter()
                    .zip(place.chunks_mut(part))
                    .for_each(fill);
            }
        };
        if parallel {
            pool(self.threads)?.install(|| out.par_chunks_mut(size).enumerate().for_each(one));
        } else {
            out.chunks_mut(size).enumerate().for_each(one);
        }
        Ok(out)
    }

    /// How many counted rows nodes have.
    ///
    /// # Errors
    /// `bad-node`.
    pub fn counts(&self, nodes: &[i32]) -> Result<Vec<i64>, Fault> {
        let count = |node: &i32| self.spans(*node).map(|spans| spans[0].len() as i64);
        nodes.iter().map(count).collect()
    }

    /// New numbers for children: not in use, each once. The largest that is then in use.
    fn check_children(&self, splits: &Splits) -> Result<usize, Fault> {
        let bad = Fault::new("bad-node");
        let mut children = Vec::with_capacity(2 * splits.left.len());
        for node in splits.left.iter().chain(splits.right) {
            let node = usize::try_from(*node).map_err(|_| bad)?;
            if node == 0 || node >= MOST_NODES || self.nodes.get(node).is_some_and(Option::is_some)
            {
                return Err(bad);
            }
            children.push(node);
        }
        children.sort_unstable();
        let parents = splits.nodes.iter().map(|node| *node as usize);
        let mut parents: Vec<usize> = parents.collect();
        parents.sort_unstable();
        if [&children, &parents]
            .iter()
            .any(|list| list.windows(2).any(|pair| pair[0] == pair[1]))
        {
            return Err(bad);
        }
        Ok(children.last().copied().unwrap_or(0))
    }

    /// Splits nodes, or none if anything is wrong.
    ///
    /// # Errors
    /// `bad-length`, `bad-node`, `bad-feature`, `bad-bins`.
    pub fn split(&mut self, splits: &Splits) -> Result<(), Fault> {
        splits.check()?;
        let spans = splits
            .nodes
            .iter()
            .map(|node| self.spans(*node))
            .collect::<Result<Vec<_>, _>>()?;
        let columns = splits
            .features
            .iter()
            .map(|feature| {
                usize::try_from(*feature)
                    .ok()
                    .filter(|at| *at < self.features)
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(Fault::new("bad-feature"))?;
        let missing = (self.count - 1) as u8;
        if splits.bins.iter().any(|bin| *bin >= missing) {
            return Err(Fault::new("bad-bins"));
        }
        let last = self.check_children(splits)?;
        let blocks = &self.blocks;
        let goes_left = |split: usize, row: u32| {
            let column = columns[split];
            let bin = blocks[column / WIDTH].bin(row, column % WIDTH);
            // Both looked at, so that this takes no branch.
            (bin <= splits.bins[split]) | ((bin == missing) & splits.missing_left[split])
        };
        let mut sides = Vec::with_capacity(2);
        for (order, side) in self.orders.iter_mut().zip(0..) {
            let spans: Vec<Span> = spans.iter().map(|spans| spans[side]).collect();
            sides.push(order.part(&spans, self.threads, goes_left)?);
        }
        if self.nodes.len() <= last {
            self.nodes.resize(last + 1, None);
        }
        let children = splits.left.iter().zip(splits.right);
        let parted = sides[0].iter().zip(&sides[1]);
        for ((node, (left, right)), (counted, others)) in
            splits.nodes.iter().zip(children).zip(parted)
        {
            self.nodes[*node as usize] = None;
            self.nodes[*left as usize] = Some([counted.0, others.0]);
            self.nodes[*right as usize] = Some([counted.1, others.1]);
        }
        Ok(())
    }

    /// Runs `work` on every node that is not split, with its rows, counted or not.
    fn each_leaf(&self, mut work: impl FnMut(usize, &[u32])) {
        for (node, spans) in self.nodes.iter().enumerate() {
            for (order, span) in self.orders.iter().zip(spans.iter().flatten()) {
                work(node, order.rows(*span));
            }
        }
    }

    /// The node of every row.
    pub fn row_nodes(&self) -> Vec<i32> {
        let mut out = vec![0; self.rows];
        self.each_leaf(|node, rows| {
            for row in rows {
                out[*row as usize] = node as i32;
            }
        });
        out
    }

    /// Adds to each row's margin the value of its node.
    ///
    /// # Errors
    /// `bad-length`; `bad-values` if a node with rows has none, and then nothing was added.
    pub fn add_leaves(&self, margins: &mut [f64], values: &[f64]) -> Result<(), Fault> {
        if margins.len() != self.rows || self.nodes.is_empty() {
            return Err(Fault::new("bad-length"));
        }
        let mut lacking = false;
        self.each_leaf(|node, rows| lacking |= !rows.is_empty() && node >= values.len());
        if lacking {
            return Err(Fault::new("bad-values"));
        }
        self.each_leaf(|node, rows| {
            let Some(value) = values.get(node) else {
                return;
            };
            for row in rows {
                margins[*row as usize] += value;
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Grower, Splits};

    const ROWS: usize = 3_000;
    const FEATURES: usize = 19;
    const COUNT: usize = 9;

    fn bins() -> Vec<u8> {
        (0..ROWS * FEATURES)
            .map(|at| ((at * 7 + at * at / 13 + at / FEATURES) % COUNT) as u8)
            .collect()
    }

    fn grower() -> Grower {
        let mut grower = Grower::new(&bins(), FEATURES, COUNT, 2).unwrap();
        let gradients: Vec<i64> = (0..ROWS as i64).map(|row| row * 31 - 40_000).collect();
        let hessians: Vec<i64> = (0..ROWS as i64).map(|row| row % 11).collect();
        let sampled: Vec<bool> = (0..ROWS).map(|row| row % 4 != 1).collect();
        grower.reset(&gradients, &hessians, Some(&sampled)).unwrap();
        grower
    }

    fn split(grower: &mut Grower, node: i32, children: [i32; 2]) -> Result<(), &'static str> {
        let splits = Splits {
            nodes: &[node],
            features: &[17],
            bins: &[3],
            missing_left: &[true],
            left: &children[..1],
            right: &children[1..],
        };
        grower.split(&splits).map_err(|fault| fault.code)
    }

    #[test]
    fn children_add_up_to_their_parent_and_rows_are_where_their_bins_say() {
        let mut grower = grower();
        let whole = grower.histograms(&[0]).unwrap();
        split(&mut grower, 0, [1, 2]).unwrap();
        let both = grower.histograms(&[1, 2]).unwrap();
        let (one, other) = both.split_at(whole.len());
        let sums: Vec<i64> = one
            .iter()
            .zip(other)
            .map(|(one, other)| one + other)
            .collect();
        assert_eq!(sums, whole);
        let bins = bins();
        for (row, node) in grower.row_nodes().into_iter().enumerate() {
            let bin = usize::from(bins[row * FEATURES + 17]);
            let expected = if bin <= 3 || bin == COUNT - 1 { 1 } else { 2 };
            assert_eq!(node, expected);
        }
        let counts = grower.counts(&[1, 2]).unwrap();
        assert_eq!(
            counts.iter().sum::<i64>(),
            (0..ROWS).filter(|row| row % 4 != 1).count() as i64
        );
        assert!(grower.histograms(&[0]).is_err() && grower.counts(&[3]).is_err());
    }

    #[test]
    fn wrong_splits_split_nothing() {
        let mut grower = grower();
        split(&mut grower, 0, [5, 7]).unwrap();
        let before = grower.row_nodes();
        for (node, children) in [
            (0, [8, 9]),
            (6, [8, 9]),
            (-1, [8, 9]),
            (5, [7, 9]),
            (5, [8, 5]),
            (5, [8, 8]),
            (5, [0, 8]),
            (5, [-1, 8]),
            (5, [1 << 20, 8]),
        ] {
            assert_eq!(split(&mut grower, node, children), Err("bad-node"));
        }
        let twice = Splits {
            nodes: &[5, 5],
            features: &[0, 1],
            bins: &[0, 0],
            missing_left: &[false; 2],
            left: &[10, 11],
            right: &[12, 13],
        };
        assert!(grower.split(&twice).is_err());
        assert!(
            grower
                .split(&Splits {
                    nodes: &[5, 7],
                    features: &[0, 19],
                    ..twice
                })
                .is_err()
        );
        assert!(
            grower
                .split(&Splits {
                    nodes: &[5, 7],
                    bins: &[0, 8],
                    ..twice
                })
                .is_err()
        );
        assert!(
            grower
                .split(&Splits {
                    nodes: &[5, 7],
                    left: &[10],
                    ..twice
                })
                .is_err()
        );
        assert_eq!(grower.row_nodes(), before);
    }

    #[test]
    fn leaves_are_added_to_all_rows_or_to_none() {
        let mut grower = grower();
        split(&mut grower, 0, [1, 2]).unwrap();
        let mut margins = vec![1.0; ROWS];
        assert!(grower.add_leaves(&mut margins, &[0.0, 5.0]).is_err());
        assert!(margins.iter().all(|margin| *margin == 1.0));
        grower.add_leaves(&mut margins, &[0.0, 5.0, 7.0]).unwrap();
        for (margin, node) in margins.iter().zip(grower.row_nodes()) {
            assert_eq!(*margin, if node == 1 { 6.0 } else { 8.0 });
        }
    }

    #[test]
    fn what_cannot_be_grown_on_is_refused() {
        assert!(Grower::new(&[0; 8], 0, 4, 1).is_err());
        assert!(Grower::new(&[0; 8], 3, 4, 1).is_err());
        assert!(Grower::new(&[4; 8], 2, 4, 1).is_err());
        assert!(Grower::new(&[0; 8], 2, 257, 1).is_err());
        assert!(Grower::new(&[0; 8], 2, 1, 1).is_err());
        assert!(Grower::new(&[0; 8], 2, 4, 0).is_err());
        let mut grower = Grower::new(&[0; 8], 2, 4, 1).unwrap();
        assert!(grower.histograms(&[0]).is_err(), "not reset yet");
        assert!(grower.reset(&[0; 4], &[0; 3], None).is_err());
        assert!(grower.reset(&[1 << 61, 0, 0, 0], &[0; 4], None).is_err());
        assert!(grower.reset(&[0; 4], &[0, 1 << 61, 0, 0], None).is_err());
        assert!(grower.reset(&[1 << 60, 0, 0, 0], &[0; 4], None).is_ok());
    }
}
