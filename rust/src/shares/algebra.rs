//! The two ways of sharing: sums modulo 2^k, and exclusive or. Products are those of the ring in each.

use crate::shares::word::Word;

/// How the shares of a value make the value.
pub trait Algebra: Copy + Send + Sync + 'static {
    /// The sum.
    fn add<W: Word>(a: W, b: W) -> W;
    /// The difference.
    fn sub<W: Word>(a: W, b: W) -> W;
    /// The product.
    fn mul<W: Word>(a: W, b: W) -> W;
}

/// Shares add up modulo 2^k.
#[derive(Debug, Clone, Copy)]
pub struct Additive;

/// Shares are combined by exclusive or; the product is "and" of every bit.
#[derive(Debug, Clone, Copy)]
pub struct Bitwise;

impl Algebra for Additive {
    #[inline(always)]
    fn add<W: Word>(a: W, b: W) -> W {
        a.add(b)
    }
    #[inline(always)]
    fn sub<W: Word>(a: W, b: W) -> W {
        a.sub(b)
    }
    #[inline(always)]
    fn mul<W: Word>(a: W, b: W) -> W {
        a.mul(b)
    }
}

impl Algebra for Bitwise {
    #[inline(always)]
    fn add<W: Word>(a: W, b: W) -> W {
        a.xor(b)
    }
    #[inline(always)]
    fn sub<W: Word>(a: W, b: W) -> W {
        a.xor(b)
    }
    #[inline(always)]
    fn mul<W: Word>(a: W, b: W) -> W {
        a.and(b)
    }
}
