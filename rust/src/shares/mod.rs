//! Computing on secret-shared vectors among three parties. Unaudited.
//!
//! **Sharing.** Replicated 2-of-3 sharing (Araki, Furukawa, Lindell, Nof, Ohara, "High-throughput semi-honest
//! secure three-party computation with an honest majority", CCS 2016, sec. 2): x = x_0 + x_1 + x_2 modulo 2^k
//! (kinds `r32 r64 r128`), or x_0 ^ x_1 ^ x_2 (kinds `u8` to `u128`). Party P_i holds x_i and x_{i+1} (indices
//! modulo 3), so x_i is held by P_i and P_{i-1}. Any two parties know x; one alone sees two uniformly random
//! words.
//!
//! **Keys.** k_i is known to exactly the holders of x_i: P_i and P_{i-1}. P_i so has k_i and k_{i+1}, and
//! F(k_i) - F(k_{i+1}) are shares of zero that no message was needed for.
//!
//! **Model.** At most one party is corrupted, fixed beforehand, and follows the protocol (semi-honest, static,
//! honest majority). Lines between parties are private and authentic. AES is a pseudorandom permutation. What a
//! party receives in an operation is either masked by a stream of the key it does not have, or is opened on
//! purpose; each operation's simulator stands beside it. Compositions follow from Canetti, "Security and
//! composition of multiparty cryptographic protocols", J. Cryptology 2000: what an operation sends is masked
//! anew by streams of its own number, whatever its arguments' shares have in common, so operations may follow one
//! another in any public order.
//!
//! **Time and sizes.** No branch, index or message size depends on a share, only on lengths, kinds and bits.
//!
//! **Not covered.** Two parties that put their views together; a party that deviates (results can then be wrong,
//! and it can see more than it should: numbers that P_1 or P_2 adds to destinations before they are moved show in
//! what is opened which row went where; `check` compares what was opened, which finds faults and clumsy cheating
//! only).

pub mod adder;
pub mod algebra;
pub mod bits;
pub mod channel;
pub mod compare;
pub mod convert;
pub mod dealt;
mod destination;
mod frame;
pub mod hello;
pub mod join;
pub mod less;
pub mod listener;
pub mod local;
mod messages;
pub mod multiply;
pub mod open;
pub mod order;
pub mod owner_order;
pub mod party;
mod passes;
pub mod permutation;
pub mod prg;
pub mod python;
pub mod select;
pub mod session;
pub mod shuffle;
pub mod sort;
mod sort_bits;
pub mod tls;
pub mod to_ring;
pub mod upload;
pub mod vector;
pub mod wire;
pub mod word;
pub mod workers;

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
