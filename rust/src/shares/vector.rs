//! Shared vectors: of every value this party's two shares.

use crate::shares::word::Word;

/// This party's two shares of a vector of words: x_i and x_{i+1}, of equal length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pair<W> {
    /// x_i.
    pub first: Vec<W>,
    /// x_{i+1}.
    pub second: Vec<W>,
}

impl<W: Word> Pair<W> {
    /// Shares of zeroes.
    pub fn zeroes(rows: usize) -> Self {
        Self {
            first: vec![W::ZERO; rows],
            second: vec![W::ZERO; rows],
        }
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

/// A shared vector of any kind: words are shared by exclusive or, rings (`R`) by addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shared {
    /// Words of 8 bits; bits too, as 0 and 1.
    U8(Pair<u8>),
    /// Words of 16 bits.
    U16(Pair<u16>),
    /// Words of 32 bits.
    U32(Pair<u32>),
    /// Words of 64 bits.
    U64(Pair<u64>),
    /// Words of 128 bits.
    U128(Pair<u128>),
    /// Numbers modulo 2^32.
    R32(Pair<u32>),
    /// Numbers modulo 2^64.
    R64(Pair<u64>),
    /// Numbers modulo 2^128.
    R128(Pair<u128>),
}

/// Runs `$body` with `$pair` as the `Pair` within `$shared`, whatever its kind: `any_shared!(&shared, pair => pair.len())`.
#[macro_export]
macro_rules! any_shared {
    ($shared:expr, $pair:ident => $body:expr) => {
        match $shared {
            $crate::shares::vector::Shared::U8($pair) => $body,
            $crate::shares::vector::Shared::U16($pair) => $body,
            $crate::shares::vector::Shared::U32($pair) => $body,
            $crate::shares::vector::Shared::U64($pair) => $body,
            $crate::shares::vector::Shared::U128($pair) => $body,
            $crate::shares::vector::Shared::R32($pair) => $body,
            $crate::shares::vector::Shared::R64($pair) => $body,
            $crate::shares::vector::Shared::R128($pair) => $body,
        }
    };
}

/// As `any_shared`, and what `$body` makes becomes a `Shared` of the same kind; `A` is its algebra there.
#[macro_export]
macro_rules! map_shared {
    ($shared:expr, $pair:ident => $body:expr) => {
        match $shared {
            $crate::shares::vector::Shared::U8($pair) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::Bitwise;
                $crate::shares::vector::Shared::U8($body)
            }
            $crate::shares::vector::Shared::U16($pair) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::Bitwise;
                $crate::shares::vector::Shared::U16($body)
            }
            $crate::shares::vector::Shared::U32($pair) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::Bitwise;
                $crate::shares::vector::Shared::U32($body)
            }
            $crate::shares::vector::Shared::U64($pair) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::Bitwise;
                $crate::shares::vector::Shared::U64($body)
            }
            $crate::shares::vector::Shared::U128($pair) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::Bitwise;
                $crate::shares::vector::Shared::U128($body)
            }
            $crate::shares::vector::Shared::R32($pair) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::Additive;
                $crate::shares::vector::Shared::R32($body)
            }
            $crate::shares::vector::Shared::R64($pair) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::Additive;
                $crate::shares::vector::Shared::R64($body)
            }
            $crate::shares::vector::Shared::R128($pair) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::Additive;
                $crate::shares::vector::Shared::R128($body)
            }
        }
    };
}

/// As `map_shared` of two vectors, for those kinds that are named; None for others, or kinds that differ.
#[macro_export]
macro_rules! zip_shared {
    ($a:expr, $b:expr, $x:ident, $y:ident => $body:expr) => {
        $crate::zip_shared!(@ $a, $b, $x, $y, $body, U8 Bitwise, U16 Bitwise, U32 Bitwise, U64 Bitwise,
            U128 Bitwise, R32 Additive, R64 Additive, R128 Additive)
    };
    (words $a:expr, $b:expr, $x:ident, $y:ident => $body:expr) => {
        $crate::zip_shared!(@ $a, $b, $x, $y, $body, U8 Bitwise, U16 Bitwise, U32 Bitwise, U64 Bitwise,
            U128 Bitwise)
    };
    (rings $a:expr, $b:expr, $x:ident, $y:ident => $body:expr) => {
        $crate::zip_shared!(@ $a, $b, $x, $y, $body, R32 Additive, R64 Additive, R128 Additive)
    };
    (@ $a:expr, $b:expr, $x:ident, $y:ident, $body:expr, $($kind:ident $algebra:ident),*) => {
        match ($a, $b) {
            $((
                $crate::shares::vector::Shared::$kind($x),
                $crate::shares::vector::Shared::$kind($y),
            ) => {
                #[allow(dead_code)]
                type A = $crate::shares::algebra::$algebra;
                Some($crate::shares::vector::Shared::$kind($body))
            })*
            _ => None,
        }
    };
}

impl Shared {
    /// How many values.
    pub fn len(&self) -> usize {
        any_shared!(self, pair => pair.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `u8 u16 u32 u64 u128 r32 r64 r128`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::U16(_) => "u16",
            Self::U32(_) => "u32",
            Self::U64(_) => "u64",
            Self::U128(_) => "u128",
            Self::R32(_) => "r32",
            Self::R64(_) => "r64",
            Self::R128(_) => "r128",
        }
    }
}
