//! Whole programs against plain arithmetic in wide integers, on every path.

use super::program::Program;
use super::run::run;
use super::sparse::Sparse;
use crate::ring::ntt::Path;
use crate::ring::primes::ntt_primes;

const N: usize = 1_024;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) ^ (self.0 >> 43)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// Residues of `[strips][level][N]`; some words are the largest there are.
    fn residues(&mut self, strips: usize, primes: &[u64]) -> Vec<u64> {
        (0..strips * primes.len() * N)
            .map(|at| {
                let q = primes[at / N % primes.len()];
                if self.below(4) == 0 {
                    q - 1
                } else {
                    self.below(q)
                }
            })
            .collect()
    }
}

/// Ciphertexts in the plainest form.
#[derive(Clone)]
struct Naive {
    parts: usize,
    /// `[count][parts][level][N]`
    words: Vec<Vec<Vec<Vec<u64>>>>,
}

impl Naive {
    fn of(words: &[u64], parts: usize, level: usize) -> Self {
        let polys: Vec<Vec<Vec<u64>>> = words
            .chunks(level * N)
            .map(|poly| poly.chunks(N).map(<[u64]>::to_vec).collect())
            .collect();
        let words = polys.chunks(parts).map(<[_]>::to_vec).collect();
        Self { parts, words }
    }

    fn flat(&self) -> Vec<u64> {
        self.words.concat().concat().concat()
    }

    /// New ciphertexts, each word made from its place (index, part, prime, position).
    fn make(
        count: usize,
        parts: usize,
        primes: &[u64],
        word: impl Fn(usize, usize, usize, usize) -> i128,
    ) -> Self {
        let poly = |index: usize, part: usize| -> Vec<Vec<u64>> {
            let strip = |(prime, &q): (usize, &u64)| {
                (0..N)
                    .map(|at| word(index, part, prime, at).rem_euclid(i128::from(q)) as u64)
                    .collect()
            };
            primes.iter().enumerate().map(strip).collect()
        };
        let words = (0..count)
            .map(|index| (0..parts).map(|part| poly(index, part)).collect())
            .collect();
        Self { parts, words }
    }

    fn at(&self, index: usize, part: usize, prime: usize, at: usize) -> i128 {
        let index = if self.words.len() == 1 { 0 } else { index };
        match self.words[index].get(part) {
            Some(poly) => i128::from(poly[prime][at]),
            None => 0,
        }
    }

    fn matrix(&self, weights: &[Vec<i64>], bias: &[Vec<u64>], primes: &[u64]) -> Self {
        Self::make(weights.len(), self.parts, primes, |row, part, prime, at| {
            let sum: i128 = weights[row]
                .iter()
                .enumerate()
                .map(|(column, &w)| i128::from(w) * self.at(column, part, prime, at))
                .sum();
            let bias = bias.get(prime).filter(|_| part == 0);
            sum + bias.map_or(0, |bias| i128::from(bias[row]))
        })
    }

    fn times(&self, other: &Self, primes: &[u64]) -> Self {
        let count = self.words.len().max(other.words.len());
        let parts = self.parts + other.parts - 1;
        Self::make(count, parts, primes, |index, part, prime, at| {
            let q = i128::from(primes[prime]);
            (0..=part)
                .map(|i| self.at(index, i, prime, at) * other.at(index, part - i, prime, at) % q)
                .sum()
        })
    }

    fn plus(&self, sign: i128, other: &Self, primes: &[u64]) -> Self {
        let count = self.words.len().max(other.words.len());
        Self::make(
            count,
            self.parts.max(other.parts),
            primes,
            |index, part, prime, at| {
                self.at(index, part, prime, at) + sign * other.at(index, part, prime, at)
            },
        )
    }
}

fn sparse(weights: &[Vec<i64>]) -> Sparse {
    let (mut starts, mut columns, mut all) = (vec![0], vec![], vec![]);
    for row in weights {
        for (column, &weight) in row.iter().enumerate().filter(|(_, w)| **w != 0) {
            columns.push(column as u32);
            all.push(weight);
        }
        starts.push(columns.len() as u64);
    }
    Sparse::new(weights[0].len(), &starts, &columns, &all).unwrap()
}

/// Chains of small, middle, large and mixed primes.
fn chains() -> Vec<Vec<u64>> {
    let mut mixed = ntt_primes(50, N as u64, 1, &[]);
    mixed.extend(ntt_primes(20, N as u64, 1, &[]));
    mixed.push(12_289);
    vec![
        ntt_primes(30, N as u64, 2, &[]),
        ntt_primes(40, N as u64, 3, &[]),
        ntt_primes(50, N as u64, 2, &[]),
        mixed,
    ]
}

#[test]
fn matrices_of_every_weight_and_prime_are_right() {
    let mut random = Random(7);
    for primes in chains() {
        for (rows, columns, most, zeroes) in [
            (1, 1, 1, 0),
            (7, 40, 127, 0),
            (13, 150, 127, 5),
            (6, 33, 32_767, 1),
            (5, 300, i64::from(i32::MAX), 0),
            (4, 9, 3, 9),
        ] {
            let mut weights: Vec<Vec<i64>> = (0..rows)
                .map(|_| {
                    (0..columns)
                        .map(|_| match random.below(10) {
                            x if x < zeroes => 0,
                            x if x % 3 == 0 => most,
                            _ => random.below(2 * most as u64 + 1) as i64 - most,
                        })
                        .collect()
                })
                .collect();
            // One row all at the bound, one all at the other.
            weights[0].fill(most);
            if rows > 1 {
                weights[1].fill(-most);
            }
            let bias: Vec<Vec<u64>> = primes
                .iter()
                .map(|&q| (0..rows).map(|_| random.below(q)).collect())
                .collect();
            let input = random.residues(2 * columns, &primes);
            let expected = Naive::of(&input, 2, primes.len())
                .matrix(&weights, &bias, &primes)
                .flat();
            for path in Path::available() {
                let mut program = Program::with(path, &primes).unwrap();
                let x = program.input(columns, 2).unwrap();
                let y = program
                    .matrix(x, &sparse(&weights), Some(bias.clone()))
                    .unwrap();
                program.output(y).unwrap();
                for threads in [1, 2] {
                    let out = run(&program, N, &[&input], threads).unwrap();
                    assert!(
                        out[0] == expected,
                        "{path:?} {primes:?} {most} {rows}x{columns}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_long_row_reduces_its_total() {
    let mut random = Random(5);
    let primes = ntt_primes(50, N as u64, 1, &[]);
    let columns = 3_000;
    // Three limbs and a total that passes 2^62 several times over.
    let weights = vec![
        vec![i64::from(i32::MAX); columns],
        vec![-i64::from(i32::MAX); columns],
    ];
    let input = random.residues(columns, &primes);
    let expected = Naive::of(&input, 1, 1)
        .matrix(&weights, &[], &primes)
        .flat();
    for path in Path::available() {
        let mut program = Program::with(path, &primes).unwrap();
        let x = program.input(columns, 1).unwrap();
        let y = program.matrix(x, &sparse(&weights), None).unwrap();
        program.output(y).unwrap();
        assert!(
            run(&program, N, &[&input], 1).unwrap()[0] == expected,
            "{path:?}"
        );
    }
}

#[test]
fn every_operation_is_right() {
    let mut random = Random(3);
    for primes in chains() {
        let level = primes.len();
        let (x, y, one, plain) = (
            random.residues(5 * 2, &primes),
            random.residues(5 * 2, &primes),
            random.residues(3, &primes),
            random.residues(5, &primes),
        );
        let naive = |words: &[u64], parts| Naive::of(words, parts, level);
        let (nx, ny) = (naive(&x, 2), naive(&y, 2));
        let (none, nplain) = (naive(&one, 3), naive(&plain, 1));
        let scalars: Vec<Vec<u64>> = primes
            .iter()
            .map(|&q| (0..5).map(|_| random.below(q)).collect())
            .collect();
        let single: Vec<Vec<u64>> = primes.iter().map(|&q| vec![q - 1]).collect();
        let scalar_of = |all: &[Vec<u64>], prime: usize, index: usize| {
            i128::from(all[prime][index % all[prime].len()])
        };
        let scaled = |x: &Naive, all: &[Vec<u64>]| {
            Naive::make(5, x.parts, &primes, |index, part, prime, at| {
                x.at(index, part, prime, at) * scalar_of(all, prime, index)
            })
        };
        let shifted = |x: &Naive, all: &[Vec<u64>]| {
            Naive::make(5, x.parts, &primes, |index, part, prime, at| {
                let scalar = if part == 0 {
                    scalar_of(all, prime, index)
                } else {
                    0
                };
                x.at(index, part, prime, at) + scalar
            })
        };
        let zero = Naive::make(5, 2, &primes, |_, _, _, _| 0);
        let square = nx.times(&nx, &primes);
        let taken = Naive {
            parts: 3,
            words: [4, 0, 4].map(|at: usize| square.words[at].clone()).to_vec(),
        };
        let together = Naive {
            parts: 2,
            words: [nx.words.clone(), ny.words.clone()].concat(),
        };
        let expected = [
            square.clone(),
            square.times(&square, &primes),
            nx.times(&ny, &primes),
            none.times(&nx, &primes),
            nx.times(&nplain, &primes),
            nx.plus(1, &ny, &primes),
            nplain.plus(-1, &nx, &primes),
            nx.plus(-1, &none, &primes),
            none.plus(1, &nx, &primes),
            zero.plus(-1, &nx, &primes),
            shifted(&nx, &scalars),
            scaled(&nx, &scalars),
            shifted(&scaled(&nx, &single), &single),
            taken,
            together,
            nx.matrix(&[vec![1; 5]], &[], &primes),
            nx.clone(),
        ];
        for path in Path::available() {
            let mut p = Program::with(path, &primes).unwrap();
            let x0 = p.input(5, 2).unwrap();
            let y0 = p.input(5, 2).unwrap();
            let one0 = p.input(1, 3).unwrap();
            let plain0 = p.input(5, 1).unwrap();
            let square = p.square(x0).unwrap();
            let scaled = p.multiply_scalar(x0, single.clone()).unwrap();
            let all = [
                square,
                p.square(square).unwrap(),
                p.multiply(x0, y0).unwrap(),
                p.multiply(one0, x0).unwrap(),
                p.multiply(x0, plain0).unwrap(),
                p.add(x0, y0).unwrap(),
                p.subtract(plain0, x0).unwrap(),
                p.subtract(x0, one0).unwrap(),
                p.add(one0, x0).unwrap(),
                p.negate(x0).unwrap(),
                p.add_scalar(x0, scalars.clone()).unwrap(),
                p.multiply_scalar(x0, scalars.clone()).unwrap(),
                p.add_scalar(scaled, single.clone()).unwrap(),
                p.take(square, &[4, 0, 4]).unwrap(),
                p.concatenate(&[x0, y0]).unwrap(),
                p.total(x0).unwrap(),
                x0,
            ];
            for register in all {
                p.output(register).unwrap();
            }
            let out = run(&p, N, &[&x, &y, &one, &plain], 2).unwrap();
            for (at, (out, expected)) in out.iter().zip(&expected).enumerate() {
                assert!(
                    *out == expected.flat(),
                    "operation {at} {path:?} {primes:?}"
                );
            }
        }
    }
}

#[test]
fn places_are_used_again_and_never_shared() {
    use super::program::Layout;
    let primes = ntt_primes(40, N as u64, 1, &[]);
    let mut random = Random(11);
    for _ in 0..200 {
        let mut p = Program::new(&primes).unwrap();
        p.input(1 + random.below(9) as usize, 1).unwrap();
        for _ in 0..30 {
            let a = random.below(p.ops().len() as u64) as usize;
            let count = p.shape(a).unwrap().count as u64;
            let taken: Vec<u32> = (0..=random.below(9))
                .map(|_| random.below(count) as u32)
                .collect();
            p.take(a, &taken).unwrap();
        }
        p.output(random.below(31) as usize).unwrap();
        let (layout, last) = (Layout::new(&p), p.last_uses());
        for (a, &last) in last.iter().enumerate() {
            assert_eq!(layout.places[a].len(), p.shape(a).unwrap().strips());
            for b in a + 1..=last.min(30) {
                let (left, right) = (&layout.places[a], &layout.places[b]);
                assert!(left.end <= right.start || right.end <= left.start);
            }
        }
        let most: usize = layout.places.iter().map(|place| place.end).max().unwrap();
        assert_eq!(most, layout.strips);
    }
    // A large register that comes last lies where an earlier one was.
    let mut p = Program::new(&primes).unwrap();
    let mut x = p.input(10, 1).unwrap();
    for count in [11, 17] {
        x = p.take(x, &vec![0; count]).unwrap();
    }
    p.output(x).unwrap();
    assert_eq!(Layout::new(&p).strips, 28);
}

#[test]
fn malformed_programs_and_inputs_are_refused() {
    let primes = ntt_primes(40, N as u64, 2, &[]);
    let refused = |primes: &[u64]| Program::new(primes).err().unwrap().code;
    assert_eq!(refused(&[]), "bad-prime-count");
    assert_eq!(refused(&[primes[0]; 61]), "bad-prime-count");
    assert_eq!(refused(&[primes[0], 1 << 50]), "bad-prime");
    let mut p = Program::new(&primes).unwrap();
    let x = p.input(3, 2).unwrap();
    let wide = p.input(1, 8).unwrap();
    let two = p.input(2, 2).unwrap();
    let good = sparse(&[vec![1, 2, 3]]);
    let code = |result: Result<usize, crate::ring::fault::Fault>| result.err().unwrap().code;
    assert_eq!(code(p.input(0, 1)), "bad-count");
    assert_eq!(code(p.input(1, 0)), "bad-parts");
    assert_eq!(code(p.input(1 << 21, 1)), "bad-count");
    assert_eq!(code(p.input(1, 9)), "bad-parts");
    assert_eq!(code(p.square(wide)), "bad-parts");
    assert_eq!(code(p.square(3)), "bad-register");
    assert_eq!(code(p.multiply(wide, two)), "bad-parts");
    assert_eq!(code(p.add(x, two)), "uneven-counts");
    assert_eq!(code(p.multiply(x, 9)), "bad-register");
    assert_eq!(code(p.matrix(two, &good, None)), "matrix-shape");
    assert_eq!(
        code(p.matrix(x, &good, Some(vec![vec![0]]))),
        "scalar-shape"
    );
    let large = vec![vec![0], vec![primes[1]]];
    assert_eq!(code(p.matrix(x, &good, Some(large.clone()))), "not-reduced");
    assert_eq!(code(p.add_scalar(x, large)), "not-reduced");
    assert_eq!(
        code(p.multiply_scalar(x, vec![vec![0; 2]; 2])),
        "scalar-shape"
    );
    assert_eq!(code(p.take(x, &[0, 3])), "bad-index");
    assert_eq!(code(p.take(x, &[])), "bad-count");
    assert_eq!(code(p.concatenate(&[])), "bad-count");
    assert_eq!(code(p.concatenate(&[x, wide])), "bad-parts");
    assert!(p.output(3).is_err());
    let matrix = |inputs, starts: &[u64], columns: &[u32], weights: &[i64]| {
        Sparse::new(inputs, starts, columns, weights)
            .err()
            .map(|fault| fault.code)
    };
    assert_eq!(matrix(2, &[], &[], &[]), Some("matrix-without-rows"));
    assert_eq!(matrix(2, &[0], &[], &[]), Some("matrix-shape"));
    assert_eq!(matrix(2, &[0, 1], &[0], &[]), Some("matrix-entries"));
    assert_eq!(matrix(2, &[1, 1], &[0], &[1]), Some("matrix-rows"));
    assert_eq!(
        matrix(2, &[0, 2, 1, 2], &[0, 1], &[1, 1]),
        Some("matrix-rows")
    );
    assert_eq!(
        matrix(2, &[0, u64::MAX, 1], &[0], &[1]),
        Some("matrix-rows")
    );
    assert_eq!(matrix(2, &[0, 1], &[2], &[1]), Some("matrix-columns"));
    assert_eq!(matrix(2, &[0, 2], &[1, 1], &[1, 1]), Some("matrix-columns"));
    assert_eq!(matrix(2, &[0, 1], &[1], &[1 << 31]), Some("matrix-weight"));
    assert_eq!(
        matrix(2, &[0, 1], &[1], &[-(1 << 31)]),
        Some("matrix-weight")
    );
    assert_eq!(matrix(2, &[0, 1], &[1], &[i64::MIN]), Some("matrix-weight"));

    let mut p = Program::new(&primes).unwrap();
    let x = p.input(1, 1).unwrap();
    p.output(x).unwrap();
    let mut input = vec![0u64; 2 * N];
    let refused = |n, inputs: &[&[u64]], threads| run(&p, n, inputs, threads).err().unwrap().code;
    assert_eq!(refused(N, &[], 1), "bad-inputs");
    assert_eq!(refused(N, &[&input[1..]], 1), "wrong-size");
    assert_eq!(refused(N + 1, &[&input], 1), "bad-degree");
    assert_eq!(refused(N, &[&input], 0), "bad-threads");
    assert!(run(&p, N, &[&input], 1).is_ok());
    for threads in [1, 2] {
        for (at, &q) in primes.iter().enumerate() {
            for place in [0, N - 1] {
                for wrong in [q, u64::MAX] {
                    input[at * N + place] = wrong;
                    assert_eq!(refused(N, &[&input], threads), "residue-too-large");
                    input[at * N + place] = 0;
                }
            }
        }
    }
}
