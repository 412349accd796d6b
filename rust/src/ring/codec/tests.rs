//! Every form comes back, and every field of every message counts.

use super::polynomials::MOST_COUNT;
use super::*;
use crate::ring::params::tests::small;
use crate::ring::sample::{Expander, Seed};

fn residues(params: &Params, count: usize, components: usize) -> Vec<u64> {
    let (n, seed) = (params.n(), Seed::new([7; 32]));
    let mut out = vec![0; count * components * n];
    for (at, place) in out.chunks_exact_mut(n).enumerate() {
        let modulus = params.modulus(at % components);
        Expander::new(&seed, b"test", at as u64).uniform(modulus, place);
    }
    out
}

fn ciphertexts(params: &Params) -> Vec<u8> {
    let x = residues(params, 4, 2);
    write_polynomials(params, Kind::Ciphertexts, [2, 2, 2], 64.0, None, &x, 1).unwrap()
}

#[test]
fn parameters_come_back_and_are_one_form_of_one_thing() {
    for scheme in [Scheme::Ckks, Scheme::Bgv(40_961)] {
        let params = small(scheme);
        let data = header(Kind::Parameters, &params);
        let back = read_parameters(&data).unwrap().build().unwrap();
        assert_eq!(header(Kind::Parameters, &back), data);
        assert_eq!((back.scheme, &back.primes), (scheme, &params.primes));
        for cut in 0..data.len() {
            assert_eq!(
                read_parameters(&data[..cut]).err().unwrap().code,
                "wrong-size"
            );
        }
        let changed = |at: usize, to: u8| {
            let mut data = data.clone();
            data[at] = to;
            let built = read_parameters(&data).and_then(|described| described.build());
            built.err().unwrap().code
        };
        assert_eq!(changed(0, b'h'), "not-ours");
        assert_eq!(changed(4, 2), "other-version");
        assert_eq!(changed(6, 5), "other-kind");
        assert_eq!(changed(7, 1), "reserved-not-zero");
        assert_eq!(changed(8, 3), "bad-scheme");
        assert_eq!(changed(9, 11), "insecure");
        assert_eq!(changed(9, 16), "bad-degree");
        assert_eq!(changed(9, 255), "bad-degree");
        assert_eq!(changed(10, 0), "bad-prime-count");
        assert_eq!(changed(10, 255), "bad-prime-count");
        assert_eq!(changed(10, 2), "wrong-size");
        assert_eq!(changed(11, 2), "reserved-not-zero");
        assert_eq!(changed(20, 3), "bad-prime");
    }
}

#[test]
fn polynomials_come_back_and_every_field_counts() {
    let params = small(Scheme::Ckks);
    let x = residues(&params, 6, 2);
    let seed = Some([9; SEED]);
    for (kind, shape, seed) in [
        (Kind::Ciphertexts, [3, 2, 2], None),
        (Kind::Ciphertexts, [2, 3, 2], None),
        (Kind::SeededCiphertexts, [6, 1, 2], seed),
        (Kind::Plaintexts, [6, 1, 2], None),
    ] {
        for threads in [1, 2] {
            let data = write_polynomials(&params, kind, shape, 1e9, seed, &x, threads).unwrap();
            let back = read_polynomials(&params, kind, &data, threads).unwrap();
            assert_eq!([back.count, back.parts, back.level], shape);
            assert_eq!((back.scale, back.seed, &back.residues), (1e9, seed, &x));
            for cut in [0, 7, 8, 20, 40, 70, data.len() - 1] {
                let fault = read_polynomials(&params, kind, &data[..cut], 1).unwrap_err();
                assert!(
                    ["wrong-size", "other-parameters"].contains(&fault.code),
                    "{cut}"
                );
            }
        }
    }
    let data = ciphertexts(&params);
    let body = header(Kind::Ciphertexts, &params).len();
    let changed = |at: usize, to: &[u8]| {
        let mut data = data.clone();
        data[at..at + to.len()].copy_from_slice(to);
        read_polynomials(&params, Kind::Ciphertexts, &data, 1).unwrap_err()
    };
    assert_eq!(changed(body, &[0; 4]).code, "bad-count");
    assert_eq!(changed(body, &[255; 4]).code, "bad-count");
    assert_eq!(changed(body, &[1]).code, "wrong-size");
    assert_eq!(changed(body + 4, &[1]).code, "bad-parts");
    assert_eq!(changed(body + 4, &[9]).code, "bad-parts");
    assert_eq!(changed(body + 5, &[0]).code, "bad-level");
    assert_eq!(changed(body + 5, &[4]).code, "bad-level");
    assert_eq!(changed(body + 6, &[1]).code, "reserved-not-zero");
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE / 2.0] {
        assert_eq!(changed(body + 8, &scale.to_le_bytes()).code, "bad-scale");
    }
    let second = body + 16 + rows(&params, 2);
    assert_eq!(
        changed(second, &[255; 8]),
        Fault::at("residue-too-large", 1)
    );
}

#[test]
fn messages_of_others_are_refused() {
    let params = small(Scheme::Ckks);
    let data = ciphertexts(&params);
    let read = |params: &Params, kind| read_polynomials(params, kind, &data, 1).unwrap_err();
    assert_eq!(read(&params, Kind::Plaintexts).code, "other-kind");
    assert_eq!(
        read(&small(Scheme::Bgv(40_961)), Kind::Ciphertexts).code,
        "other-parameters"
    );
    let [a, b, c] = params.primes[..] else {
        unreachable!()
    };
    let swapped = Params::new(Scheme::Ckks, 12, &[b, a, c], params.special).unwrap();
    assert_eq!(read(&swapped, Kind::Ciphertexts).code, "other-parameters");
}

#[test]
fn a_size_that_cannot_be_costs_no_memory() {
    let params = small(Scheme::Ckks);
    let mut data = header(Kind::Ciphertexts, &params);
    data.extend(MOST_COUNT.to_le_bytes());
    data.extend([3, 3, 0, 0]);
    data.extend(1f64.to_le_bytes());
    let fault = read_polynomials(&params, Kind::Ciphertexts, &data, 1).unwrap_err();
    assert_eq!(fault.code, "wrong-size");
    let mut data = header(Kind::RotationKeys, &params);
    data.extend([255; 4]);
    let fault = read_keys(&params, Kind::RotationKeys, &data, 1).unwrap_err();
    assert_eq!(fault.code, "wrong-size");
}

#[test]
fn scales_of_bgv_are_units_modulo_t() {
    let params = small(Scheme::Bgv(40_961));
    for (scale, fits) in [
        (1.0, true),
        (40_960.0, true),
        (0.0, false),
        (40_961.0, false),
        (1.5, false),
        (f64::NAN, false),
    ] {
        assert_eq!(scale_fits(&params, scale), fits);
    }
}

#[test]
fn keys_come_back_in_order_of_their_steps() {
    let params = small(Scheme::Ckks);
    let key = residues(&params, 3, 4);
    let seeds = [[1; SEED], [2; SEED]];
    let keys = |steps: [u32; 2]| {
        let both = [
            (steps[0], &seeds[0], &key[..]),
            (steps[1], &seeds[1], &key[..]),
        ];
        write_keys(&params, Kind::RotationKeys, &both, 2)
    };
    let data = keys([1, 2_047]).unwrap();
    let back = read_keys(&params, Kind::RotationKeys, &data, 2).unwrap();
    assert_eq!(back.len(), 2);
    assert_eq!(
        (back[0].step, back[0].seed, &back[0].residues),
        (1, seeds[0], &key)
    );
    assert_eq!((back[1].step, back[1].seed), (2_047, seeds[1]));
    for wrong in [[1, 1], [2, 1], [0, 1], [1, 2_048]] {
        assert_eq!(keys(wrong).unwrap_err().code, "bad-rotations");
    }
    let mut swapped = data.clone();
    let at = header(Kind::RotationKeys, &params).len() + 4;
    swapped[at..at + 4].copy_from_slice(&2_047u32.to_le_bytes());
    let fault = read_keys(&params, Kind::RotationKeys, &swapped, 1).unwrap_err();
    assert_eq!(fault.code, "bad-rotations");

    let one = [(0, &seeds[0], &key[..])];
    let data = write_keys(&params, Kind::RelinearisationKey, &one, 1).unwrap();
    let back = read_keys(&params, Kind::RelinearisationKey, &data, 1).unwrap();
    assert_eq!((back.len(), &back[0].residues), (1, &key));
    let public = residues(&params, 1, 3);
    let one = [(0, &seeds[0], &public[..])];
    let data = write_keys(&params, Kind::PublicKey, &one, 1).unwrap();
    assert_eq!(
        read_keys(&params, Kind::PublicKey, &data, 1).unwrap()[0].residues,
        public
    );
    let more: Vec<u8> = data.iter().copied().chain([0]).collect();
    let fault = read_keys(&params, Kind::PublicKey, &more, 1).unwrap_err();
    assert_eq!(fault.code, "wrong-size");
}

#[test]
fn secrets_come_back_and_the_fourth_pair_of_bits_is_refused() {
    let params = small(Scheme::Ckks);
    let mut small = vec![0; params.n()];
    Expander::new(&Seed::new([3; 32]), b"test", 0).ternary(&mut small);
    let data = write_secret(&params, &small).unwrap();
    assert_eq!(read_secret(&params, &data).unwrap()[..], small[..]);
    let mut wrong = data.to_vec();
    *wrong.last_mut().unwrap() |= 0xc0;
    assert_eq!(read_secret(&params, &wrong).unwrap_err().code, "bad-secret");
    assert_eq!(
        read_secret(&params, &data[1..]).unwrap_err().code,
        "not-ours"
    );
    let cut = &data[..data.len() - 1];
    assert_eq!(read_secret(&params, cut).unwrap_err().code, "wrong-size");
}
