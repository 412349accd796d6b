use super::*;
use crate::ring::params::Scheme;
use crate::ring::params::tests::small;

/// b + a s, back in coefficients and centred.
fn phase(params: &Params, at: usize, b: &[u64], a: &[u64], s: &[u64]) -> Vec<i64> {
    let modulus = params.modulus(at);
    let mut sum = b.to_vec();
    vector::mul_add_assign(modulus, &mut sum, a, s);
    params.table(at).inverse(&mut sum);
    sum.into_iter().map(|x| modulus.centred(x)).collect()
}

#[test]
fn the_secret_is_ternary_and_comes_back_from_its_coefficients() {
    let params = small(Scheme::Ckks);
    let key = SecretKey::generate(&params).unwrap();
    for kind in -1..=1 {
        // 4096 fair three-sided coins: six deviations are 181.
        let count = key.small().iter().filter(|&&x| x == kind).count();
        assert!(count.abs_diff(4_096 / 3) < 181, "{kind} {count}");
    }
    let again = SecretKey::from_small(&params, Zeroizing::new(key.small().to_vec())).unwrap();
    for component in 0..4 {
        assert_eq!(again.residues(component), key.residues(component));
    }
    assert_ne!(SecretKey::generate(&params).unwrap().small(), key.small());
    for wrong in [2, -2, 127, -128] {
        let mut small = key.small().to_vec();
        small[17] = wrong;
        assert!(SecretKey::from_small(&params, Zeroizing::new(small)).is_err());
    }
    assert!(SecretKey::from_small(&params, Zeroizing::new(vec![0; 4_095])).is_err());
}

#[test]
fn a_public_key_is_zero_with_small_errors_times_the_factor() {
    for (scheme, factor) in [(Scheme::Ckks, 1), (Scheme::Bgv(40_961), 40_961)] {
        let params = small(scheme);
        let secret = SecretKey::generate(&params).unwrap();
        let key = secret.public_key().unwrap();
        let n = params.n();
        let mut last = None;
        for at in 0..params.levels() {
            let (b, a) = (&key.b[at * n..][..n], &key.a[at * n..][..n]);
            let error = phase(&params, at, b, a, secret.residues(at));
            assert!(
                error
                    .iter()
                    .all(|e| e % factor == 0 && (e / factor).abs() <= 21)
            );
            let square: i64 = error.iter().map(|e| (e / factor).pow(2)).sum();
            // Variance 10.5; of 4096 the mean square's deviation is 0.23.
            assert!((square as f64 / n as f64 - 10.5).abs() < 1.4);
            assert!(
                last.replace(error.clone())
                    .is_none_or(|other| other == error)
            );
        }
        let again = PublicKey::expand(&params, key.seed, key.b.clone());
        assert_eq!(again.a, key.a);
        assert_ne!(secret.public_key().unwrap().seed, key.seed);
    }
}

#[test]
fn switching_keys_hold_their_target_at_their_own_prime() {
    let params = small(Scheme::Ckks);
    let secret = SecretKey::generate(&params).unwrap();
    let n = params.n();
    let relin = secret.relinearisation_key(2).unwrap();
    let rotation = secret.rotation_key(3, 2).unwrap();
    let back = Galois::for_step(n, -3).unwrap();
    let again = SwitchKey::expand(&params, relin.seed, relin.b.clone(), 1).unwrap();
    assert_eq!(again.a, relin.a);
    for digit in 0..params.levels() {
        let mut errors = None;
        for at in 0..=params.levels() {
            let modulus = params.modulus(at);
            let s = secret.residues(at);
            let mut turned = vec![0; n];
            back.permute(s, &mut turned);
            let mut square = s.to_vec();
            vector::mul_assign(modulus, &mut square, s);
            for (key, target, under) in [(&relin, &square[..], s), (&rotation, s, &turned[..])] {
                let (b, a) = key.at(digit, at);
                let mut b = b.to_vec();
                if at == digit {
                    let special = modulus.reduce(params.special);
                    for (b, &target) in b.iter_mut().zip(target) {
                        *b = modulus.sub(*b, modulus.mul(special, target));
                    }
                }
                let error = phase(&params, at, &b, a, under);
                assert!(error.iter().all(|e| e.abs() <= 21));
                if std::ptr::eq(key, &relin) {
                    assert!(
                        errors
                            .replace(error.clone())
                            .is_none_or(|other| other == error)
                    );
                }
            }
        }
    }
    let alone = Params::new(Scheme::Ckks, 12, &params.primes, 0).unwrap();
    let none = SecretKey::generate(&alone).unwrap().relinearisation_key(1);
    assert_eq!(none.err().unwrap().code, "no-special-prime");
    let other = Params::new(Scheme::Bgv(40_961), 12, &params.primes, params.special).unwrap();
    assert!(relin.fits(&params).is_ok() && relin.fits(&other).is_err());
}
