//! Trees applied to feature values: margins are sums of leaves' values in the order of the trees.

use super::jobs;
use crate::learning::fault::Fault;

/// Rows that a thread takes at a time: their features stay in a near cache while all trees pass.
const PART: usize = 256;
/// Rows that go down a tree side by side, so that one's wait for memory is another's time.
const TOGETHER: usize = 8;
const LEAF: i32 = -1;

/// A node; a leaf has itself as both children.
#[derive(Clone, Copy)]
struct Node {
    threshold: f32,
    feature: u32,
    missing_left: bool,
    left: u32,
    right: u32,
}

struct Tree {
    nodes: Vec<Node>,
    values: Vec<f64>,
    depth: usize,
}

/// Nodes of trees as lists, as Python has them; children count from their tree's first node.
pub struct Lists<'a> {
    /// Where each tree begins, and where the last ends.
    pub starts: &'a [i64],
    /// The feature of each node.
    pub features: &'a [i32],
    /// Below goes left.
    pub thresholds: &'a [f32],
    /// Where NaN goes.
    pub missing_left: &'a [bool],
    /// The left child, or -1.
    pub left: &'a [i32],
    /// The right child, or -1.
    pub right: &'a [i32],
    /// What a leaf adds.
    pub values: &'a [f64],
}

/// Trees, checked.
pub struct Forest {
    trees: Vec<Tree>,
    /// Features that rows must have.
    width: usize,
}

impl Tree {
    fn new(lists: &Lists, from: usize, to: usize) -> Option<Self> {
        let size = to - from;
        let mut depths = vec![0; size];
        let mut nodes = Vec::with_capacity(size);
        for at in 0..size {
            let place = from + at;
            let child = |child: i32| {
                usize::try_from(child)
                    .ok()
                    .filter(|to| at < *to && *to < size)
            };
            let (feature, left, right) = match (lists.left[place], lists.right[place]) {
                (LEAF, LEAF) => (0, at, at),
                (left, right) if left == right => return None,
                (left, right) => {
                    let feature = u32::try_from(lists.features[place]).ok()?;
                    (feature, child(left)?, child(right)?)
                }
            };
            for child in [left, right] {
                if child != at {
                    depths[child] = depths[child].max(depths[at] + 1);
                }
            }
            nodes.push(Node {
                threshold: lists.thresholds[place],
                feature,
                missing_left: lists.missing_left[place],
                left: left as u32,
                right: right as u32,
            });
        }
        Some(Self {
            nodes,
            values: lists.values[from..to].to_vec(),
            depth: depths.into_iter().max()?,
        })
    }

    fn step(&self, node: u32, row: &[f32]) -> u32 {
        let node = &self.nodes[node as usize];
        let value = row[node.feature as usize];
        // A comparison with NaN is false.
        let left = (value < node.threshold) | (value.is_nan() & node.missing_left);
        if left { node.left } else { node.right }
    }

    fn add(&self, rows: &[f32], width: usize, margins: &mut [f64]) {
        let groups = rows.chunks(TOGETHER * width);
        for (rows, margins) in groups.zip(margins.chunks_mut(TOGETHER)) {
            let mut places = [0; TOGETHER];
            for _ in 0..self.depth {
                for (place, row) in places.iter_mut().zip(rows.chunks_exact(width)) {
                    *place = self.step(*place, row);
                }
            }
            for (margin, place) in margins.iter_mut().zip(places) {
                *margin += self.values[place as usize];
            }
        }
    }
}

impl Forest {
    /// The trees of these lists.
    ///
    /// # Errors
    /// `bad-length` if lists differ in length; `bad-forest` if a tree is empty, a child does not come behind its
    /// parent in its own tree, a node has one child only, or a feature is negative.
    pub fn new(lists: &Lists) -> Result<Self, Fault> {
        let size = lists.features.len();
        let lengths = [
            lists.thresholds.len(),
            lists.missing_left.len(),
            lists.left.len(),
            lists.right.len(),
            lists.values.len(),
        ];
        if lengths.iter().any(|length| *length != size) {
            return Err(Fault::new("bad-length"));
        }
        let bad = Fault::new("bad-forest");
        let ends = [lists.starts.first(), lists.starts.last()];
        if ends != [Some(&0), i64::try_from(size).ok().as_ref()] {
            return Err(bad);
        }
        let mut trees = Vec::with_capacity(lists.starts.len() - 1);
        for pair in lists.starts.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            if !(0 <= from && from < to && to <= size as i64) {
                return Err(bad);
            }
            trees.push(Tree::new(lists, from as usize, to as usize).ok_or(bad)?);
        }
        let features = trees.iter().flat_map(|tree| &tree.nodes);
        let width = features
            .filter(|node| node.left != node.right)
            .map(|node| node.feature as usize + 1)
            .max();
        Ok(Self {
            trees,
            width: width.unwrap_or(0),
        })
    }

    /// The margins of `rows` (row after row, `width` features each): `base`, then the leaves' values.
    ///
    /// # Errors
    /// `bad-feature` if a tree splits by a feature that is not there; `bad-rows`, `bad-threads`, `no-threads`.
    pub fn predict(
        &self,
        rows: &[f32],
        width: usize,
        base: f64,
        threads: usize,
    ) -> Result<Vec<f64>, Fault> {
        if width == 0 || !rows.len().is_multiple_of(width) {
            return Err(Fault::new("bad-rows"));
        }
        if width < self.width {
            return Err(Fault::new("bad-feature"));
        }
        let mut margins = vec![base; rows.len() / width];
        let parts = rows.chunks(PART * width).zip(margins.chunks_mut(PART));
        jobs::each(
            parts.collect(),
            threads,
            |(rows, margins): (&[f32], &mut [f64])| {
                for tree in &self.trees {
                    tree.add(rows, width, margins);
                }
            },
        )?;
        Ok(margins)
    }
}

#[cfg(test)]
mod tests {
    use super::{Forest, Lists};

    fn lists<'a>() -> Lists<'a> {
        Lists {
            starts: &[0, 5, 6],
            features: &[1, 0, 0, 0, 0, 0],
            thresholds: &[0.5, 2.0, 0.0, 0.0, 0.0, 0.0],
            missing_left: &[true, false, false, false, false, false],
            left: &[1, 3, -1, -1, -1, -1],
            right: &[2, 4, -1, -1, -1, -1],
            values: &[0.0, 0.0, 1.0, 2.0, 4.0, 0.25],
        }
    }

    #[test]
    fn rows_go_down_as_the_trees_say() {
        let forest = Forest::new(&lists()).unwrap();
        let nan = f32::NAN;
        #[rustfmt::skip]
        let rows = [
            0.0, 0.5,    0.0, 0.4,    2.0, 0.4,    1.9, nan,    nan, nan,
            f32::INFINITY, f32::NEG_INFINITY,    0.0, 9.0,    0.0, 0.0,    0.0, 0.0,
        ];
        let expected = [1.0, 2.0, 4.0, 2.0, 4.0, 4.0, 1.0, 2.0, 2.0].map(|value| value + 10.25);
        assert_eq!(forest.predict(&rows, 2, 10.0, 1).unwrap(), expected);
        let many: Vec<f32> = rows.repeat(400);
        assert_eq!(
            forest.predict(&many, 2, 10.0, 2).unwrap(),
            expected.repeat(400)
        );
        assert!(forest.predict(&rows[..4], 1, 0.0, 1).is_err());
        assert!(forest.predict(&rows[..3], 2, 0.0, 1).is_err());
        assert!(forest.predict(&[], 0, 0.0, 1).is_err());
        assert!(forest.predict(&[], 2, 0.0, 1).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_forest_is_refused() {
        let refused = |lists: Lists| Forest::new(&lists).is_err();
        assert!(!refused(lists()));
        for starts in [
            &[0i64, 6, 6][..],
            &[0, 5],
            &[1, 6],
            &[0, 7, 6],
            &[],
            &[0],
            &[0, -1, 6],
        ] {
            assert!(refused(Lists { starts, ..lists() }));
        }
        for left in [
            &[0, 3, -1, -1, -1, -1],
            &[1, 0, -1, -1, -1, -1],
            &[1, 5, -1, -1, -1, -1],
            &[1, -2, -1, -1, -1, -1],
            &[2, 3, -1, -1, -1, -1],
            &[1, 3, 3, -1, -1, -1],
        ] {
            assert!(refused(Lists { left, ..lists() }));
        }
        assert!(refused(Lists {
            features: &[-1, 0, 0, 0, 0, 0],
            ..lists()
        }));
        assert!(refused(Lists {
            values: &[0.0],
            ..lists()
        }));
    }
}
