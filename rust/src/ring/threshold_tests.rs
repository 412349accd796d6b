use super::*;
use crate::ring::sample::Expander;

const COMMON: [u8; 32] = [7; 32];

fn packing(log_n: u32, members: usize) -> Packing {
    let params = ring(log_n).unwrap();
    let noise = fresh_noise(&params, members);
    let smudging = 128 - noise.leading_zeros() + LEAST_SMUDGING;
    let carries = usize::BITS - (members - 1).leading_zeros();
    let scale = smudging + carries + 2;
    let room = product_bits(&params.primes) - 1 - scale;
    let stride = 54 + carries;
    Packing {
        per: (room / stride) as usize,
        width: 54,
        stride,
        scale,
        smudging,
    }
}

fn keys(log_n: u32, members: usize) -> (Vec<SecretKey>, PublicKey) {
    let params = ring(log_n).unwrap();
    let secrets: Vec<SecretKey> = (0..members)
        .map(|_| SecretKey::generate(&params).unwrap())
        .collect();
    let shares: Vec<Vec<u8>> = secrets
        .iter()
        .map(|secret| share(secret, COMMON).unwrap())
        .collect();
    let shares: Vec<&[u8]> = shares.iter().map(Vec::as_slice).collect();
    let key = joint(&params, COMMON, &shares).unwrap();
    (secrets, key)
}

fn refs(halves: &[Vec<u8>]) -> Vec<&[u8]> {
    halves.iter().map(Vec::as_slice).collect()
}

#[test]
fn rings_take_the_whole_row_of_the_table() {
    assert_eq!(ring(13).unwrap().bits(), 218);
    assert_eq!(ring(14).unwrap().bits(), 438);
    assert!(ring(12).is_err());
    assert!(Arc::ptr_eq(&ring(14).unwrap(), &ring(14).unwrap()));
}

#[test]
fn sums_open_exactly_and_hashes_add_up() {
    for (log_n, members, rest) in [(13, 3, 8), (13, 8, 8_192), (14, 5, 1_000)] {
        let (secrets, key) = keys(log_n, members);
        let params = Arc::clone(&key.params);
        let packing = packing(log_n, members);
        let coefficients = params.n() + rest;
        let count = coefficients * packing.per - 3;
        let mask = (1 << 54) - 1;
        let mut expected = vec![0u64; coefficients * packing.per];
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        let mut hashes = vec![0; 2 * CHECKS * params.levels()];
        for member in 0..members {
            let mut bytes = vec![0; 8 * count];
            Expander::new(&Seed::new([1; 32]), b"values", member as u64).fill(&mut bytes);
            let mut values: Vec<u64> = bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|word| u64::from_le_bytes(*word))
                .collect();
            values[..7].fill(u64::MAX);
            for (sum, value) in expected.iter_mut().zip(&values) {
                *sum = sum.wrapping_add(*value) & mask;
            }
            let (first, second) =
                encrypt(&key, &packing, members, &values, coefficients, 2).unwrap();
            let made = hash(
                &params,
                &[9; 32],
                coefficients,
                Some(&first),
                Some(&second),
                2,
            );
            for (at, (sum, x)) in hashes.iter_mut().zip(made.unwrap().concat()).enumerate() {
                *sum = params.modulus(at % params.levels()).add(*sum, x);
            }
            firsts.push(first);
            seconds.push(second);
        }
        let first = add(&params, coefficients, &refs(&firsts), false, 2).unwrap();
        let second = add(&params, coefficients, &refs(&seconds), true, 2).unwrap();
        let made = hash(
            &params,
            &[9; 32],
            coefficients,
            Some(&first),
            Some(&second),
            1,
        );
        assert_eq!(made.unwrap().concat(), hashes);
        let other = hash(&params, &[9; 32], coefficients, None, Some(&seconds[0]), 1).unwrap();
        assert!(other[1] != hashes[CHECKS * params.levels()..]);
        let mut parts = vec![first];
        for secret in &secrets[1..] {
            parts.push(partial(secret, &packing, members, &second, coefficients, 2).unwrap());
        }
        let open = |parts: &[Vec<u8>], second: &[u8]| {
            let first = add(&params, coefficients, &refs(parts), false, 2).unwrap();
            finish(
                &secrets[0],
                &packing,
                members,
                &first,
                second,
                coefficients,
                2,
            )
        };
        assert_eq!(open(&parts, &second).unwrap(), expected);
        // One part less, or another second half, is no sum.
        let fault = Fault::new("not-a-sum");
        assert_eq!(open(&parts[..members - 1], &second).unwrap_err(), fault);
        assert_eq!(open(&parts, &seconds[0]).unwrap_err(), fault);
    }
}

#[test]
fn parts_are_smudged_over_their_whole_range() {
    let (secrets, _) = keys(13, 3);
    let params = ring(13).unwrap();
    let packing = packing(13, 3);
    let n = params.n();
    // Of a second half of zeroes, a part is the smudging alone.
    let second = vec![0; Extent::new(&params, n).unwrap().second()];
    let part = partial(&secrets[0], &packing, 3, &second, n, 1).unwrap();
    let crt = Crt::new(&params, params.levels());
    let mut residues = vec![0; n * params.levels()];
    for (component, place) in residues.chunks_exact_mut(n).enumerate() {
        let piece = piece(&params, component, n);
        pack::unpack(params.modulus(component), &part[piece], place).unwrap();
    }
    let (mut low, mut small) = (0, 0);
    for at in 0..n {
        let mut digits = [0; MOST_PRIMES];
        crt.digits(|component| residues[component * n + at], &mut digits);
        let negative = crt.centre(&mut digits);
        let size = bits(&limbs(&params.primes, &digits), packing.smudging - 2, 64);
        assert!(size < 4 || negative && size == 4);
        low += usize::from(negative);
        small += usize::from(size < 2);
    }
    for share in [low, small] {
        assert!(share.abs_diff(n / 2) < n / 20, "{share} of {n}");
    }
    let mut narrow = packing;
    narrow.smudging -= 2;
    let fault = partial(&secrets[0], &narrow, 3, &second, n, 1).unwrap_err();
    assert_eq!(fault.code, "smudging-too-narrow");
}

#[test]
fn what_would_not_be_exact_is_refused() {
    let params = ring(13).unwrap();
    let good = packing(13, 5);
    assert!(good.check(&params, 5).is_ok());
    let wrap = |change: &dyn Fn(&mut Packing)| {
        let mut other = good;
        change(&mut other);
        assert_eq!(other.check(&params, 5).unwrap_err().code, "sum-would-wrap");
    };
    wrap(&|p| p.scale -= 2);
    wrap(&|p| p.stride -= 1);
    wrap(&|p| p.per += 1);
    wrap(&|p| p.width = 0);
    wrap(&|p| p.smudging += 2);
    wrap(&|p| p.smudging = u32::MAX);
    assert!(good.check(&params, 0).is_err());
    assert!(good.check(&params, 1_000).is_err());
    assert!(good.check(&params, MOST_MEMBERS + 1).is_err());
    assert!(Extent::new(&params, 0).is_err());
    assert!(Extent::new(&params, 12).is_err());
    assert!(Extent::new(&params, usize::MAX - 7).is_err());
}

#[test]
fn bytes_of_another_size_or_value_are_refused() {
    let (secrets, key) = keys(13, 3);
    let params = ring(13).unwrap();
    let packing = packing(13, 3);
    let (first, second) = encrypt(&key, &packing, 3, &[1, 2, 3], 8, 1).unwrap();
    assert_eq!(first.len(), 218);
    assert_eq!(second.len(), 218 * 1_024);
    assert!(encrypt(&key, &packing, 3, &[0; 17], 8, 1).is_err());
    assert!(add(&params, 8, &[&first, &first[1..]], false, 1).is_err());
    assert!(add(&params, 16, &[&first], false, 1).is_err());
    assert!(add(&params, 8, &[&first], true, 1).is_err());
    assert!(partial(&secrets[0], &packing, 3, &second[1..], 8, 1).is_err());
    let full = vec![255; second.len()];
    for fault in [
        partial(&secrets[0], &packing, 3, &full, 8, 1).unwrap_err(),
        add(&params, 8, &[&full], true, 1).unwrap_err(),
        joint(&params, COMMON, &[&full]).err().unwrap(),
    ] {
        assert_eq!(fault.code, "residue-too-large");
    }
    assert!(joint(&params, COMMON, &[]).is_err());
    assert!(joint(&params, COMMON, &[&second[8..]]).is_err());
}

#[test]
fn the_noise_bound_is_that_of_the_worst_case() {
    let params = ring(14).unwrap();
    assert_eq!(fresh_noise(&params, 5), 5 * (42 * 5 * 16_384 + 21));
}
