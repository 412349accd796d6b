//! One of two values, by a shared bit.
//!
//! b + bit (a - b): one product, after the bit was spread over a word (linear) or made a number of the ring
//! (`convert.rs`). **Who learns what**: the simulator is that of the product and of the conversion, composed.

use crate::shares::algebra::{Additive, Bitwise};
use crate::shares::channel::Broken;
use crate::shares::convert::bit_to_ring;
use crate::shares::multiply::{combine, only, term};
use crate::shares::party::Party;
use crate::shares::vector::Pair;
use crate::shares::word::Word;

/// `a` where the bit is 1, else `b`, of words. One round.
pub fn select_words<W: Word>(
    party: &mut Party,
    bit: &Pair<u8>,
    a: &Pair<W>,
    b: &Pair<W>,
) -> Result<Pair<W>, Broken> {
    let spread = |bit: u8| W::ZERO.sub(W::cut(u128::from(bit & 1)));
    let out = combine::<Bitwise, W>(party, &[a.len()], |_, start, out| {
        let bits = bit.first[start..].iter().zip(&bit.second[start..]);
        let a = a.first[start..].iter().zip(&a.second[start..]);
        let b = b.first[start..].iter().zip(&b.second[start..]);
        for ((out, (bit0, bit1)), ((a0, a1), (b0, b1))) in out.iter_mut().zip(bits).zip(a.zip(b)) {
            let differ = (a0.xor(*b0), a1.xor(*b1));
            let chosen = term::<Bitwise, W>((spread(*bit0), spread(*bit1)), differ);
            *out = out.xor(*b0).xor(chosen);
        }
    })?;
    Ok(only(out))
}

/// `a` where the bit is 1, else `b`, of ring elements. Three rounds.
pub fn select_ring<W: Word>(
    party: &mut Party,
    bit: &Pair<u8>,
    a: &Pair<W>,
    b: &Pair<W>,
) -> Result<Pair<W>, Broken> {
    let number = bit_to_ring::<u8, W>(party, bit, 0)?;
    let out = combine::<Additive, W>(party, &[a.len()], |_, start, out| {
        let bits = number.first[start..].iter().zip(&number.second[start..]);
        let a = a.first[start..].iter().zip(&a.second[start..]);
        let b = b.first[start..].iter().zip(&b.second[start..]);
        for ((out, (bit0, bit1)), ((a0, a1), (b0, b1))) in out.iter_mut().zip(bits).zip(a.zip(b)) {
            let differ = (a0.sub(*b0), a1.sub(*b1));
            let chosen = term::<Additive, W>((*bit0, *bit1), differ);
            *out = out.add(*b0).add(chosen);
        }
    })?;
    Ok(only(out))
}
