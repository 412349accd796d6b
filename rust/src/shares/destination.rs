//! Where each row goes when rows are sorted by one digit of one or two bits, stably; in secret.
//!
//! **Setting.** The route is [1, 0, 2] (`passes.rs`): P_0 is the lead, P_1 left, P_2 right. Row i has the digit
//! d_i = u_i ^ v_i, where P_0 knows u_i, and P_1 and P_2 know v_i (such as u = x_0 ^ x_1, v = x_2).
//!
//! **Flags.** f_w = 1 where d = w, in the ring of 32 bits. With e_w = 1 where u = w, f_w = e_{w ^ v}: P_0 shares e
//! between P_1 and P_2, who rename its parts by v. R_w (w > 0) is a stream of k_1.
//! 1. P_0 -> P_2: T_w = e_w - R_w for w > 0. As all e_w add up to 1, R_0 = -sum R_w and T_0 = 1 - sum T_w.
//!    P_1 has X_w = R_{w ^ v}, P_2 has Y_w = T_{w ^ v}, X_w + Y_w = f_w.
//! 2. y_1 of k_1 and y_0 of k_0 become two shares of f_w (w > 0); P_1 -> P_2: X_w - y_1, P_2 -> P_1: Y_w - y_0,
//!    and y_2 is the sum of both.
//!
//! **Destinations.** With b_w the number of rows with a digit below w, and c_w(i) the number of rows up to and
//! with row i that have digit w, row i goes to sum_w f_w(i) (b_w + c_w(i) - 1). b and c are linear in f. Writing
//! g_w = b_w + c_w(i) - 1, this is g_0 + sum_{w > 0} f_w (g_w - g_0): a sum of products, whose summands z_0, z_1,
//! z_2 the parties compute as in `multiply.rs`, without making shares of it:
//! 3. P_2 -> P_1: z_2 - r, with r a stream of k_0. P_0 has s_L = z_0 + r, P_1 has s_M = z_1 + z_2 - r: what two
//!    passes begin with.
//!
//! For digits of two bits that is 3 + 6 + 1 words of 32 bits a row, of one bit 1 + 2 + 1. The stable destination as
//! a sum of products over flags and prefix sums is of Hamada, Ikarashi, Chida, Takahashi, "Oblivious radix sort: an
//! efficient sorting algorithm for practical secure multi-party computation", 2014, sec. 4, and Chida, Hamada,
//! Ikarashi, Kikuchi, Kiribuchi, Pinkas, "An efficient secure three-party sorting protocol with an honest
//! majority", 2019, sec. 4; digits of more bits are of Asharov, Hamada, Ikarashi, Kikuchi, Nof, Pinkas, Takahashi,
//! Tomida, "Efficient secure three-party sorting with applications to data analysis and heavy hitters", CCS 2022,
//! sec. 3. Steps 1 and 3 are made to fit the passes here.
//!
//! **Argument.** P_0 receives nothing. P_1 lacks k_0: it receives Y_w - y_0 and z_2 - r, masked by streams y_0 and
//! r of k_0 that are used for nothing else that P_1 sees. P_2 lacks k_1: it receives T_w, masked by R_w, and
//! X_w - y_1, masked by y_1. Simulators draw all of it uniformly. In the real view (T, X - y_1) is uniform as a
//! pair, since R and y_1 are different streams. s_L and s_M go on into two passes only, which mask them again.

use std::ops::Range;

use rayon::prelude::*;

use crate::shares::channel::Broken;
use crate::shares::party::{Party, Side, Which};
use crate::shares::passes::with_stream;
use crate::shares::prg::Stream;
use crate::shares::workers::{Workers, fresh};

/// Purposes of streams within an operation.
const TABLE: u8 = 1;
const FLAGS: u8 = 2;
const SUMMAND: u8 = 3;
/// Rows of a message: with three words a row less than a piece.
const CHUNK: usize = 1 << 16;
/// Rows that a thread takes at a time.
const BLOCK: usize = 1 << 11;
/// So many messages are under way before the first is received.
const LEAD: usize = 2;

/// The digits of rows, four to a byte.
pub(super) fn digit(packed: &[u8], row: usize) -> usize {
    usize::from(packed[row / 4] >> (row % 4 * 2) & 3)
}

/// s_L at P_0 and s_M at P_1, nothing at P_2, of the rows' destinations by their digits (u at P_0, v at P_1 and
/// P_2) of one or two bits.
pub(super) fn destinations(
    party: &mut Party,
    digits: &[u8],
    bits: u32,
    rows: usize,
) -> Result<Vec<u32>, Broken> {
    let mut sent = if bits == 1 {
        let flags = flags::<1>(party, digits, rows)?;
        summands::<1>(party, &flags, rows)
    } else {
        let flags = flags::<3>(party, digits, rows)?;
        summands::<3>(party, &flags, rows)
    };
    let operation = party.begin()?;
    let workers = party.workers();
    party.round();
    match party.index() {
        0 => {
            let mask = party.stream(Which::Own, operation, SUMMAND);
            with_stream(&workers, &mut sent, &mask, u32::wrapping_add);
        }
        1 => {
            let mut received: Vec<u32> = fresh(rows);
            party.receive(Side::Next, &mut received)?;
            for (mine, other) in sent.iter_mut().zip(received) {
                *mine = mine.wrapping_add(other);
            }
        }
        _ => {
            let mask = party.stream(Which::Next, operation, SUMMAND);
            with_stream(&workers, &mut sent, &mask, u32::wrapping_sub);
            party.send(Side::Previous, &sent)?;
            sent = Vec::new();
        }
    }
    Ok(sent)
}

/// Shares x_i and x_{i+1} of f_1 .. f_M of every row, those of a row beside each other.
struct Flags([Vec<u32>; 2]);

/// Runs `work` on blocks of `BLOCK` rows of `M` words: the first row, the block.
fn in_blocks<const M: usize>(
    workers: &Workers,
    out: &mut [u32],
    work: impl Fn(usize, &mut [u32]) + Send + Sync,
) {
    if out.len() <= 4 * BLOCK * M {
        for (place, block) in out.chunks_mut(BLOCK * M).enumerate() {
            work(place * BLOCK, block);
        }
    } else {
        workers.install(|| {
            out.par_chunks_mut(BLOCK * M)
                .enumerate()
                .for_each(|(place, block)| work(place * BLOCK, block));
        });
    }
}

/// `M` words a row of a stream, from a row on that is a multiple of 4.
fn drawn<const M: usize>(stream: &Stream, row: usize, out: &mut [u32]) {
    stream.fill(row * M, out);
}

fn flags<const M: usize>(party: &mut Party, digits: &[u8], rows: usize) -> Result<Flags, Broken> {
    let operation = party.begin()?;
    let workers = party.workers();
    party.round();
    let index = party.index();
    let share = |party: &Party, which: Which| {
        let stream = party.stream(which, operation, FLAGS);
        let mut words = fresh(rows * M);
        in_blocks::<M>(&workers, &mut words, |row, block| {
            drawn::<M>(&stream, row, block);
        });
        words
    };
    let chunks = (0..rows)
        .step_by(CHUNK)
        .map(|start| start..rows.min(start + CHUNK));
    if index == 0 {
        let table = party.stream(Which::Next, operation, TABLE);
        for chunk in chunks {
            let mut words = fresh(chunk.len() * M);
            in_blocks::<M>(&workers, &mut words, |row, block| {
                let start = chunk.start + row;
                drawn::<M>(&table, start, block);
                for (row, parts) in block.chunks_exact_mut(M).enumerate() {
                    let digit = digit(digits, start + row);
                    for (place, part) in parts.iter_mut().enumerate() {
                        *part = u32::from(digit == place + 1).wrapping_sub(*part);
                    }
                }
            });
            party.send(Side::Previous, &words)?;
        }
        return Ok(Flags([share(party, Which::Own), share(party, Which::Next)]));
    }
    // P_1: y_1 is its first share, and it works with P_2, its next; P_2: y_0 is its second, P_1 its previous.
    let (which, other) = if index == 1 {
        (Which::Own, Side::Next)
    } else {
        (Which::Next, Side::Previous)
    };
    let known = share(party, which);
    let table = (index == 1).then(|| party.stream(which, operation, TABLE));
    let whole = u32::from(index == 2);
    let mut sum: Vec<u32> = fresh(rows * M);
    let mut waiting: Vec<Range<usize>> = Vec::new();
    let mut taken = 0;
    let mut buffer: Vec<u32> = fresh(rows.min(CHUNK) * M);
    for chunk in chunks {
        let words = chunk.start * M..chunk.end * M;
        let part = &mut sum[words.clone()];
        if table.is_none() {
            party.receive(Side::Next, part)?;
        }
        in_blocks::<M>(&workers, part, |row, block| {
            let start = chunk.start + row;
            if let Some(table) = &table {
                drawn::<M>(table, start, block);
            }
            let known = known[start * M..].chunks_exact(M);
            for (row, (parts, known)) in block.chunks_exact_mut(M).zip(known).enumerate() {
                let digit = digit(digits, start + row);
                let mut renamed = [0u32; 4];
                renamed[0] = parts
                    .iter()
                    .fold(whole, |rest, part| rest.wrapping_sub(*part));
                renamed[1..=M].copy_from_slice(parts);
                for (place, (part, known)) in parts.iter_mut().zip(known).enumerate() {
                    *part = renamed[(place + 1) ^ digit].wrapping_sub(*known);
                }
            }
        });
        party.send(other, part)?;
        waiting.push(words);
        if waiting.len() > taken + LEAD {
            add_received(party, other, &mut sum[waiting[taken].clone()], &mut buffer)?;
            taken += 1;
        }
    }
    for words in &waiting[taken..] {
        add_received(party, other, &mut sum[words.clone()], &mut buffer)?;
    }
    Ok(Flags(if index == 1 {
        [known, sum]
    } else {
        [sum, known]
    }))
}

fn add_received(
    party: &mut Party,
    side: Side,
    words: &mut [u32],
    buffer: &mut [u32],
) -> Result<(), Broken> {
    let buffer = &mut buffer[..words.len()];
    party.receive(side, buffer)?;
    for (word, other) in words.iter_mut().zip(buffer) {
        *word = word.wrapping_add(*other);
    }
    Ok(())
}

/// This party's summand of every row's destination.
fn summands<const M: usize>(party: &Party, flags: &Flags, rows: usize) -> Vec<u32> {
    let workers = party.workers();
    let [first, second] = &flags.0;
    // Whether a share is share 0, which public numbers are added to.
    let constant = match party.index() {
        0 => [1u32, 0],
        2 => [0, 1],
        _ => [0, 0],
    };
    // How many rows of each digit before each block, in shares.
    let blocks = rows.div_ceil(BLOCK);
    let mut before: Vec<[[u32; M]; 2]> = vec![[[0; M]; 2]; blocks];
    let count = |(place, sums): (usize, &mut [[u32; M]; 2])| {
        for (sum, shares) in sums.iter_mut().zip([first, second]) {
            let words = place * BLOCK * M..shares.len().min((place + 1) * BLOCK * M);
            for flags in shares[words].chunks_exact(M) {
                for (sum, flag) in sum.iter_mut().zip(flags) {
                    *sum = sum.wrapping_add(*flag);
                }
            }
        }
    };
    workers.install(|| before.par_iter_mut().enumerate().for_each(count));
    let mut totals = [[0u32; M]; 2];
    for sums in &mut before {
        for (total, sum) in totals
            .as_flattened_mut()
            .iter_mut()
            .zip(sums.as_flattened_mut())
        {
            (*total, *sum) = (total.wrapping_add(*sum), *total);
        }
    }
    // b_w - 1 for w > 0.
    let mut base = [[0u32; M]; 2];
    for ((base, total), constant) in base.iter_mut().zip(&totals).zip(constant) {
        let mut below = total
            .iter()
            .fold(constant.wrapping_mul(rows as u32), |rest, total| {
                rest.wrapping_sub(*total)
            });
        for (base, total) in base.iter_mut().zip(total) {
            *base = below.wrapping_sub(constant);
            below = below.wrapping_add(*total);
        }
    }
    let mut out = fresh(rows);
    in_blocks::<1>(&workers, &mut out, |start, block| {
        let mut counts = before[start / BLOCK];
        let shares = first[start * M..]
            .chunks_exact(M)
            .zip(second[start * M..].chunks_exact(M));
        for (row, (out, (own, next))) in block.iter_mut().zip(shares).enumerate() {
            let row = (start + row) as u32;
            let mut lowest = constant.map(|constant| constant.wrapping_mul(row));
            for ((counts, flags), lowest) in counts.iter_mut().zip([own, next]).zip(&mut lowest) {
                for (count, flag) in counts.iter_mut().zip(flags) {
                    *count = count.wrapping_add(*flag);
                    *lowest = lowest.wrapping_sub(*count);
                }
            }
            let mut sum = lowest[0];
            for w in 0..M {
                let more = [0, 1].map(|share: usize| {
                    base[share][w]
                        .wrapping_add(counts[share][w])
                        .wrapping_sub(lowest[share])
                });
                sum = sum
                    .wrapping_add(own[w].wrapping_mul(more[0].wrapping_add(more[1])))
                    .wrapping_add(next[w].wrapping_mul(more[0]));
            }
            *out = sum;
        }
    });
    out
}
