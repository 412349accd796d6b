//! Sums of members' integers under a key that all of them share: additive threshold encryption, n of n.
//!
//! Every member j has a ternary secret s_j and publishes b_j = -a s_j + e_j for a common a that is
//! expanded from a seed; b = sum of b_j is a public key of s = sum of s_j (G. Asharov and others,
//! "Multiparty Computation with Low Communication, Computation and Interaction via Threshold FHE",
//! EUROCRYPT 2012, ePrint 2011/613, on threshold keys and decryption; C. Mouchet and others, "Multiparty
//! Homomorphic Encryption from Ring-Learning-with-Errors", PoPETs 2021(4), ePrint 2020/304, protocols 1 and 3).
//!
//! A ciphertext is (c0, c1) = (b u + e0 + D m, a u + e1) with D = 2^scale: the message stands in the high
//! bits (O. Regev, STOC 2005), so sums are sums over the integers and no modulus of plaintexts exists. c0
//! is kept in coefficients, of which only those in use travel; c1 in NTT form, whole. Of a sum (C0, C1),
//! member j gives d_j = s_j C1 + f_j with f_j uniform in -2^smudging..2^smudging, and C0 + sum of d_j is
//! D m + noise.
//!
//! **Decryption never fails.** Coefficients of e u_i and of s e1_i, with e = sum of e_j and s = sum of s_j
//! over n members, are at most N n 21 each; so the noise of n ciphertexts is at most
//! n (42 n N + 21) = [`fresh_noise`], with certainty, and with the smudging at most that and n 2^smudging,
//! which [`Packing::check`] wants to be below D / 2. The message is rounded off exactly.
//!
//! **Smudging.** What is opened is D m + v + sum of f_j where v depends on secrets. Uniform f_j over
//! 2^(smudging + 1) numbers hides a shift by v but for a statistical distance of |v| / 2^(smudging + 1) a
//! coefficient (the "smudging lemma" of Asharov and others); `Packing::check` wants smudging at least
//! [`LEAST_SMUDGING`] bits above the bound of v. So d_j can be simulated from the sum and the others' parts.
//!
//! **Linear checks.** [`hash`] gives, for a key, three inner products modulo each prime: of a row with
//! a uniform vector w, with w from its second and with w from its third entry on, a Toeplitz matrix
//! (H. Krawczyk, "LFSR-based Hashing and Authentication", CRYPTO 1994). Of a difference whose
//! last entry that is not zero is d_m, the k-th product has w_(m+k) d_m and else only earlier entries of w:
//! the three are uniform and independent. They add up as ciphertexts do, so who knows key and members'
//! hashes can tell whether a sum is the sum; somebody who does not know the key passes off any other
//! with probability at most p^-3, p being the least prime: below 2^-126.
//!
//! Secret: keys, u, errors, smudging and values: no branch and no address depends on them, but for the values
//! of a sum that is opened. Assumption: decision RLWE as in `params.rs`.

use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use crate::ring::ckks::crt::Crt;
use crate::ring::fault::Fault;
use crate::ring::keys::{PublicKey, STRIDE, SecretKey, add_error, lift};
use crate::ring::pack;
use crate::ring::parallel;
use crate::ring::params::{Constant, MOST_PRIMES, Params, Scheme, product_bits};
use crate::ring::primes::ntt_primes;
use crate::ring::sample::{Expander, MOST_ERROR, Seed};
use crate::ring::vector;

const SHARE: &[u8] = b"threshold share";
const FRESH: &[u8] = b"threshold fresh";
const SMUDGE: &[u8] = b"threshold smudge";
const CHECK: &[u8] = b"threshold check";

/// Bits that smudging has at least above the bound of what it hides.
pub const LEAST_SMUDGING: u32 = 64;
/// Inner products of a check.
pub const CHECKS: usize = 3;
/// The most members of a sum.
pub const MOST_MEMBERS: usize = 1 << 10;
/// Coefficients at once; more is no sum of this library.
const MOST_COEFFICIENTS: usize = 1 << 27;
/// Limbs of an opened coefficient: 438 bits, and room for a shift.
const LIMBS: usize = 8;

/// The rings of threshold sums, by log2 N: primes that use the security table's row to its last bits.
pub fn ring(log_n: u32) -> Result<Arc<Params>, Fault> {
    static RINGS: [OnceLock<Result<Arc<Params>, Fault>>; 2] = [OnceLock::new(), OnceLock::new()];
    let (place, shape) = match log_n {
        13 => (0, [(44, 3), (43, 2)]),
        14 => (1, [(49, 6), (48, 3)]),
        _ => return Err(Fault::new("bad-degree")),
    };
    let made = RINGS[place].get_or_init(|| {
        let primes: Vec<u64> = shape
            .iter()
            .flat_map(|&(bits, count)| ntt_primes(bits, 1 << log_n, count, &[]))
            .collect();
        // Errors have the factor 1 there, which is all that `Ckks` says here.
        Params::new(Scheme::Ckks, log_n, &primes, 0)
    });
    made.clone()
}

/// The bound of the noise of a sum of `members` ciphertexts, before smudging.
pub fn fresh_noise(params: &Params, members: usize) -> u128 {
    let (n, error) = (params.n() as u128, MOST_ERROR as u128);
    let members = members as u128;
    members * (2 * error * members * n + error)
}

/// How values lie in coefficients: `per` of them, `stride` bits apart, above `scale` bits of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Values in a coefficient.
    pub per: usize,
    /// Bits of a value: values are taken modulo 2^width.
    pub width: u32,
    /// Bits from one value to the next; the carries of a sum stand between.
    pub stride: u32,
    /// log2 of D.
    pub scale: u32,
    /// Smudging is uniform in -2^smudging..2^smudging.
    pub smudging: u32,
}

impl Packing {
    /// Whether sums of so many members are exact, and hidden as they should be.
    pub fn check(&self, params: &Params, members: usize) -> Result<(), Fault> {
        if !(1..=MOST_MEMBERS).contains(&members) || self.per == 0 || self.per > 64 {
            return Err(Fault::new("bad-packing"));
        }
        let carries = usize::BITS - (members - 1).leading_zeros();
        let room = product_bits(&params.primes) - 1;
        let noise = fresh_noise(params, members);
        let hidden = self.smudging <= 110
            && 1u128 << self.smudging.min(110)
                >= noise << LEAST_SMUDGING.min(noise.leading_zeros());
        let exact = (1..=64).contains(&self.width)
            && self.stride >= self.width + carries
            && u64::from(self.stride) * self.per as u64 + u64::from(self.scale) <= u64::from(room)
            && self.scale < 127
            && noise + ((members as u128) << self.smudging.min(110))
                < 1u128 << (self.scale.max(1) - 1);
        match (exact, hidden) {
            (true, true) => Ok(()),
            (false, _) => Err(Fault::new("sum-would-wrap")),
            (true, false) => Err(Fault::new("smudging-too-narrow")),
        }
    }

    /// What values at each place of a coefficient are multiplied by.
    fn factors(&self, params: &Params, component: usize) -> Vec<Constant> {
        let modulus = params.modulus(component);
        let power = |at: usize| {
            let bits = u64::from(self.scale) + u64::from(self.stride) * at as u64;
            Constant::new(modulus, modulus.pow(2, bits))
        };
        (0..self.per).map(power).collect()
    }
}

/// How many coefficients are in use, and in which rows they lie: all rows but the last are full.
#[derive(Clone, Copy)]
pub struct Extent<'a> {
    params: &'a Params,
    coefficients: usize,
}

impl<'a> Extent<'a> {
    /// So many coefficients, a multiple of 8, from the first row on.
    pub fn new(params: &'a Params, coefficients: usize) -> Result<Self, Fault> {
        if coefficients == 0 || coefficients > MOST_COEFFICIENTS || !coefficients.is_multiple_of(8)
        {
            return Err(Fault::new("bad-shape"));
        }
        Ok(Self {
            params,
            coefficients,
        })
    }

    /// Rows, each a polynomial.
    pub fn rows(&self) -> usize {
        self.coefficients.div_ceil(self.params.n())
    }

    /// Coefficients in use in a row.
    fn used(&self, row: usize) -> usize {
        let n = self.params.n();
        n.min(self.coefficients - row * n)
    }

    /// Bits of one residue modulo each prime.
    fn widths(&self) -> usize {
        (0..self.params.levels())
            .map(|at| pack::width(self.params.modulus(at)))
            .sum()
    }

    /// Bytes of a full row, of either half.
    fn stride(&self) -> usize {
        self.params.n() / 8 * self.widths()
    }

    /// Bytes of all first halves (C0, or parts of a decryption).
    pub fn first(&self) -> usize {
        self.coefficients / 8 * self.widths()
    }

    /// Bytes of all second halves (C1).
    pub fn second(&self) -> usize {
        self.rows() * self.stride()
    }

    fn is_first(&self, bytes: &[u8]) -> Result<(), Fault> {
        fits(bytes, self.first())
    }

    fn is_second(&self, bytes: &[u8]) -> Result<(), Fault> {
        fits(bytes, self.second())
    }
}

fn fits(bytes: &[u8], size: usize) -> Result<(), Fault> {
    if bytes.len() == size {
        Ok(())
    } else {
        Err(Fault::new("wrong-size"))
    }
}

/// Where the residues modulo one prime lie among those of a row with `used` residues modulo each.
fn piece(params: &Params, component: usize, used: usize) -> std::ops::Range<usize> {
    let width = |at: usize| used / 8 * pack::width(params.modulus(at));
    let start = (0..component).map(width).sum();
    start..start + width(component)
}

fn zeroed(size: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    out.try_reserve_exact(size)
        .map_err(|_| Fault::new("no-memory"))?;
    out.resize(size, 0);
    Ok(out)
}

/// b_j of a member, packed; a comes from the common seed.
pub fn share(secret: &SecretKey, common: [u8; 32]) -> Result<Vec<u8>, Fault> {
    let params = secret.params();
    let n = params.n();
    let key = PublicKey::expand(params, common, vec![0; n * params.levels()]);
    let mut error = Zeroizing::new(vec![0; n]);
    Expander::new(&Seed::generate()?, SHARE, 0).binomial(&mut error);
    let extent = Extent::new(params, n)?;
    let mut out = zeroed(extent.second())?;
    let (mut place, mut room) = (Zeroizing::new(vec![0; n]), Zeroizing::new(vec![0; n]));
    for component in 0..params.levels() {
        let modulus = params.modulus(component);
        let a = &key.a[component * n..][..n];
        vector::mul_to(modulus, &mut place, a, secret.residues(component));
        vector::neg_assign(modulus, &mut place);
        add_error(params, component, &error, &mut room, &mut place);
        pack::pack(modulus, &place, &mut out[piece(params, component, n)])?;
    }
    Ok(out)
}

/// The key of all members from their packed shares.
pub fn joint(params: &Arc<Params>, common: [u8; 32], shares: &[&[u8]]) -> Result<PublicKey, Fault> {
    let n = params.n();
    let extent = Extent::new(params, n)?;
    if shares.is_empty() || shares.len() > MOST_MEMBERS {
        return Err(Fault::new("bad-shape"));
    }
    let mut b = vec![0; n * params.levels()];
    let mut room = vec![0; n];
    for (at, share) in shares.iter().enumerate() {
        extent
            .is_second(share)
            .map_err(|fault| Fault::at(fault.code, at))?;
        for (component, place) in b.chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(component);
            pack::unpack(modulus, &share[piece(params, component, n)], &mut room)
                .map_err(|fault| Fault::at(fault.code, at))?;
            vector::add_assign(modulus, place, &room);
        }
    }
    Ok(PublicKey::expand(params, common, b))
}

/// Values, `packing.per` to a coefficient, as packed first and second halves. Missing ones are zeroes.
pub fn encrypt(
    key: &PublicKey,
    packing: &Packing,
    members: usize,
    values: &[u64],
    coefficients: usize,
    threads: usize,
) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let params = &key.params;
    packing.check(params, members)?;
    let extent = Extent::new(params, coefficients)?;
    if values.len() > coefficients * packing.per {
        return Err(Fault::new("bad-shape"));
    }
    let (n, levels) = (params.n(), params.levels());
    let factors: Vec<Vec<Constant>> = (0..levels).map(|at| packing.factors(params, at)).collect();
    let mask = u64::MAX >> (64 - packing.width);
    let noise = Seed::generate()?;
    let (mut first, mut second) = (zeroed(extent.first())?, zeroed(extent.second())?);
    let stride = extent.stride();
    let work = |row: usize, first: &mut [u8], second: &mut [u8]| {
        let used = extent.used(row);
        let mut small = Zeroizing::new(vec![0i8; 3 * n]);
        let mut words = Zeroizing::new(vec![0; 3 * n]);
        let (u, errors) = small.split_at_mut(n);
        let (ephemeral, rest) = words.split_at_mut(n);
        let (place, room) = rest.split_at_mut(n);
        Expander::new(&noise, FRESH, row as u64 * STRIDE).ternary(u);
        Expander::new(&noise, FRESH, row as u64 * STRIDE + 1).binomial(errors);
        let from = values.len().min(row * n * packing.per);
        let values = &values[from..values.len().min(from + used * packing.per)];
        for component in 0..levels {
            let modulus = params.modulus(component);
            let strip = component * n..(component + 1) * n;
            lift(params, component, u, ephemeral);
            vector::mul_to(modulus, place, &key.a[strip.clone()], ephemeral);
            add_error(params, component, &errors[n..], room, place);
            pack::pack(modulus, place, &mut second[piece(params, component, n)])?;
            vector::mul_to(modulus, place, &key.b[strip], ephemeral);
            params.table(component).inverse(place);
            vector::from_small(modulus, &errors[..n], room);
            vector::add_assign(modulus, place, room);
            let factors = &factors[component];
            for (place, values) in place.iter_mut().zip(values.chunks(packing.per)) {
                // At most 64 lazy products below 2^51, and a residue.
                let sum = values.iter().zip(factors).fold(*place, |sum, (x, factor)| {
                    let (word, shoup) = (factor.word, factor.shoup);
                    sum.wrapping_add(modulus.mul_shoup_lazy(x & mask, word, shoup))
                });
                *place = modulus.reduce(sum);
            }
            pack::pack(
                modulus,
                &place[..used],
                &mut first[piece(params, component, used)],
            )?;
        }
        Ok(())
    };
    each_two(&mut first, &mut second, stride, threads, work)?;
    Ok((first, second))
}

/// Runs `work` on every row of two arrays, both with `stride` bytes a row but for the last.
fn each_two(
    first: &mut [u8],
    second: &mut [u8],
    stride: usize,
    threads: usize,
    work: impl Fn(usize, &mut [u8], &mut [u8]) -> Result<(), Fault> + Sync,
) -> Result<(), Fault> {
    let mut rows: Vec<(&mut [u8], &mut [u8])> = first
        .chunks_mut(stride)
        .zip(second.chunks_mut(stride))
        .collect();
    parallel::each(&mut rows, 1, threads, |row, place| {
        let (first, second) = &mut place[0];
        work(row, first, second)
    })
}

/// The sum of packed halves: first ones with `coefficients` residues modulo each prime, or whole second ones.
pub fn add(
    params: &Params,
    coefficients: usize,
    halves: &[&[u8]],
    is_second: bool,
    threads: usize,
) -> Result<Vec<u8>, Fault> {
    let extent = Extent::new(params, coefficients)?;
    for (at, half) in halves.iter().enumerate() {
        let right = if is_second {
            extent.is_second(half)
        } else {
            extent.is_first(half)
        };
        right.map_err(|fault| Fault::at(fault.code, at))?;
    }
    let n = params.n();
    let stride = extent.stride();
    let mut out = zeroed(if is_second {
        extent.second()
    } else {
        extent.first()
    })?;
    parallel::each(&mut out, stride, threads, |row, out| {
        let used = if is_second { n } else { extent.used(row) };
        let (mut sum, mut room) = (vec![0; used], vec![0; used]);
        for component in 0..params.levels() {
            let modulus = params.modulus(component);
            let piece = piece(params, component, used);
            sum.fill(0);
            for (at, half) in halves.iter().enumerate() {
                pack::unpack(modulus, &half[row * stride..][piece.clone()], &mut room)
                    .map_err(|fault| Fault::at(fault.code, at))?;
                vector::add_assign(modulus, &mut sum, &room);
            }
            pack::pack(modulus, &sum, &mut out[piece])?;
        }
        Ok(())
    })?;
    Ok(out)
}

/// `CHECKS` inner products modulo each prime of first halves, and of second halves: `[check][prime]` each.
///
/// The key's vectors are those of the coefficients' places, the same for both halves.
pub fn hash(
    params: &Params,
    key: &[u8; 32],
    coefficients: usize,
    first: Option<&[u8]>,
    second: Option<&[u8]>,
    threads: usize,
) -> Result<[Vec<u64>; 2], Fault> {
    let extent = Extent::new(params, coefficients)?;
    first.map_or(Ok(()), |first| extent.is_first(first))?;
    second.map_or(Ok(()), |second| extent.is_second(second))?;
    let (n, levels, stride) = (params.n(), params.levels(), extent.stride());
    let seed = Seed::new(*key);
    let size = 2 * CHECKS * levels;
    let sums = parallel::fill(extent.rows(), size, threads, |row, out| {
        let used = extent.used(row);
        let mut halves = [(first, used, vec![0; used]), (second, n, vec![0; n])];
        let longest = if second.is_some() { n } else { used };
        let mut weights = Zeroizing::new(vec![0; longest + CHECKS - 1]);
        for component in 0..levels {
            let modulus = params.modulus(component);
            for (half, used, words) in &mut halves {
                if let Some(half) = half {
                    let piece = piece(params, component, *used);
                    pack::unpack(modulus, &half[row * stride..][piece], words)?;
                }
            }
            let stream = row as u64 * STRIDE + component as u64;
            Expander::new(&seed, CHECK, stream).uniform(modulus, &mut weights);
            for check in 0..CHECKS {
                for (at, (half, _, words)) in halves.iter().enumerate() {
                    if half.is_some() {
                        // At most 2^14 products below 2^98.
                        let pairs = words.iter().zip(&weights[check..]);
                        let sum = pairs.fold(0u128, |sum, (&x, &w)| {
                            sum.wrapping_add(u128::from(x) * u128::from(w))
                        });
                        out[(at * CHECKS + check) * levels + component] = modulus.reduce_wide(sum);
                    }
                }
            }
        }
        Ok(())
    })?;
    let mut total = vec![0; size];
    for row in sums.chunks_exact(size) {
        for (at, (total, &x)) in total.iter_mut().zip(row).enumerate() {
            *total = params.modulus(at % levels).add(*total, x);
        }
    }
    let second = total.split_off(size / 2);
    Ok([total, second])
}

/// d_j of a member for packed second halves of a sum, packed as first halves.
pub fn partial(
    secret: &SecretKey,
    packing: &Packing,
    members: usize,
    second: &[u8],
    coefficients: usize,
    threads: usize,
) -> Result<Vec<u8>, Fault> {
    let params: &Params = secret.params();
    packing.check(params, members)?;
    let extent = Extent::new(params, coefficients)?;
    extent.is_second(second)?;
    let (n, stride, noise) = (params.n(), extent.stride(), Seed::generate()?);
    let mut out = zeroed(extent.first())?;
    parallel::each(&mut out, stride, threads, |row, out| {
        let used = extent.used(row);
        let mut words = Zeroizing::new(vec![0; n]);
        let mut smudging = Zeroizing::new(vec![0i128; used]);
        Expander::new(&noise, SMUDGE, row as u64).very_wide(packing.smudging, &mut smudging);
        for component in 0..params.levels() {
            let modulus = params.modulus(component);
            times_secret(
                secret,
                component,
                &second[row * stride..][..stride],
                &mut words,
            )?;
            for (word, &f) in words.iter_mut().zip(&*smudging) {
                *word = modulus.add(*word, modulus.reduce_signed_wide(f));
            }
            pack::pack(
                modulus,
                &words[..used],
                &mut out[piece(params, component, used)],
            )?;
        }
        Ok(())
    })?;
    Ok(out)
}

/// s_j C1 modulo one prime, in coefficients, from one packed row.
fn times_secret(
    secret: &SecretKey,
    component: usize,
    row: &[u8],
    out: &mut [u64],
) -> Result<(), Fault> {
    let params = secret.params();
    let modulus = params.modulus(component);
    pack::unpack(modulus, &row[piece(params, component, params.n())], out)?;
    vector::mul_assign(modulus, out, secret.residues(component));
    params.table(component).inverse(out);
    Ok(())
}

/// The values of a sum, modulo 2^width: `first` is C0 and all parts but this member's, packed.
///
/// A fault if the noise is outside its bound: then these are not the parts of a sum.
pub fn finish(
    secret: &SecretKey,
    packing: &Packing,
    members: usize,
    first: &[u8],
    second: &[u8],
    coefficients: usize,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let params: &Params = secret.params();
    packing.check(params, members)?;
    let extent = Extent::new(params, coefficients)?;
    extent.is_first(first)?;
    extent.is_second(second)?;
    let (n, levels, stride) = (params.n(), params.levels(), extent.stride());
    let most = fresh_noise(params, members) + ((members as u128) << packing.smudging);
    let half = 1u128 << (packing.scale - 1);
    let crt = Crt::new(params, levels);
    let mut out = parallel::words(coefficients, packing.per)?;
    parallel::each(&mut out, n * packing.per, threads, |row, out| {
        let used = extent.used(row);
        let mut residues = Zeroizing::new(vec![0; levels * n]);
        let mut room = vec![0; used];
        for (component, place) in residues.chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(component);
            times_secret(secret, component, &second[row * stride..][..stride], place)?;
            let piece = piece(params, component, used);
            pack::unpack(modulus, &first[row * stride..][piece], &mut room)?;
            vector::add_assign(modulus, &mut place[..used], &room);
            let half = modulus.reduce_wide(half);
            for word in &mut place[..used] {
                *word = modulus.add(*word, half);
            }
        }
        let mut digits = [0; MOST_PRIMES];
        for (at, out) in out.chunks_exact_mut(packing.per).enumerate() {
            crt.digits(|component| residues[component * n + at], &mut digits);
            let whole = limbs(&params.primes, &digits);
            let noise = u128::from(bits(&whole, 0, 64)) | u128::from(bits(&whole, 64, 63)) << 64;
            let noise = noise & ((1u128 << packing.scale) - 1);
            if noise.abs_diff(half) > most
                || !above(&whole, packing.scale + packing.stride * packing.per as u32)
            {
                return Err(Fault::new("not-a-sum"));
            }
            for (place, out) in out.iter_mut().enumerate() {
                let from = packing.scale + packing.stride * place as u32;
                *out = bits(&whole, from, packing.width);
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// The integer of mixed-radix digits.
fn limbs(primes: &[u64], digits: &[u64; MOST_PRIMES]) -> [u64; LIMBS] {
    let mut limbs = [0u64; LIMBS];
    for (&prime, &digit) in primes.iter().zip(digits).rev() {
        let mut carry = u128::from(digit);
        for limb in &mut limbs {
            let wide = u128::from(*limb) * u128::from(prime) + carry;
            *limb = wide as u64;
            carry = wide >> 64;
        }
    }
    limbs
}

/// `width` bits, 1 to 64, from bit `from` on.
fn bits(limbs: &[u64; LIMBS], from: u32, width: u32) -> u64 {
    let (limb, shift) = ((from / 64) as usize, from % 64);
    let low = limbs.get(limb).copied().unwrap_or(0) >> shift;
    let high = limbs.get(limb + 1).copied().unwrap_or(0) << 1 << (63 - shift);
    (low | high) & (u64::MAX >> (64 - width))
}

/// Whether all bits from `from` on are zero.
fn above(limbs: &[u64; LIMBS], from: u32) -> bool {
    (from..64 * LIMBS as u32)
        .step_by(64)
        .all(|at| bits(limbs, at, 64) == 0)
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
