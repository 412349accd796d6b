"""The group's kernels through their Python door: against a slow implementation, and by what must hold."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import InputError, SecretError
from hitoku.hazmat import group

DOMAIN = b"hitoku test ids"
RUN = b"run 1"
ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19

ids_strategy = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True)
scalars = st.one_of(st.integers(1, 20), st.integers(ORDER - 20, ORDER - 1), st.integers(1, ORDER - 1))


def column(rows, width=32):
    return group.records(b"".join(rows), width)


def key(scalar):
    return group.load_key(scalar.to_bytes(32, "little"))


def masked(ids, secret, threads=1):
    return group.mask(column(ids), secret, domain=DOMAIN, run=RUN, threads=threads)


def outcome(work):
    """What a kernel gave, or the error it raised."""
    try:
        return work(), None
    except group.RecordError as error:
        return None, error


# --- ristretto255 in whole numbers, written from RFC 9496 and RFC 9380: slow and simple ---

D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT = pow(2, (PRIME - 1) // 4, PRIME)


def negative(x):
    return x % PRIME % 2 == 1


def magnitude(x):
    return -x % PRIME if negative(x) else x % PRIME


def root_of_ratio(u, v):
    """SQRT_RATIO_M1 of RFC 9496, 4.2."""
    r = u * pow(v, 3, PRIME) * pow(u * pow(v, 7, PRIME), (PRIME - 5) // 8, PRIME) % PRIME
    check = v * r * r % PRIME
    right, flipped, flipped_i = check == u % PRIME, check == -u % PRIME, check == -u * ROOT % PRIME
    if flipped or flipped_i:
        r = r * ROOT % PRIME
    return right or flipped, magnitude(r)


ONE_MINUS_D_SQ = (1 - D * D) % PRIME
D_MINUS_ONE_SQ = (D - 1) ** 2 % PRIME
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578


def elligator(data):
    """MAP of RFC 9496, 4.3.4."""
    t = int.from_bytes(data, "little") % 2**255 % PRIME
    r = ROOT * t * t % PRIME
    u = (r + 1) * ONE_MINUS_D_SQ % PRIME
    v = (-1 - r * D) * (r + D) % PRIME
    square, s = root_of_ratio(u, v)
    if not square:
        s = -magnitude(s * t) % PRIME
    c = -1 if square else r
    n = (c * (r - 1) * D_MINUS_ONE_SQ - v) % PRIME
    w0, w1 = 2 * s * v % PRIME, n * SQRT_AD_MINUS_ONE % PRIME
    w2, w3 = (1 - s * s) % PRIME, (1 + s * s) % PRIME
    z = pow(w1 * w3, -1, PRIME)
    return w0 * w3 * z % PRIME, w2 * w1 * z % PRIME


def plus(p, q):
    """The sum on the twisted Edwards curve, affine."""
    (x1, y1), (x2, y2) = p, q
    k = D * x1 * x2 * y1 * y2 % PRIME
    return (
        (x1 * y2 + x2 * y1) * pow(1 + k, -1, PRIME) % PRIME,
        (y1 * y2 + x1 * x2) * pow(1 - k, -1, PRIME) % PRIME,
    )


def times(scalar, p):
    total = (0, 1)
    for bit in bin(scalar)[2:]:
        total = plus(total, total)
        if bit == "1":
            total = plus(total, p)
    return total


def encoded(p):
    """ENCODE of RFC 9496, 4.3.2, with z = 1."""
    x, y = p
    t = x * y % PRIME
    u1, u2 = (1 + y) * (1 - y) % PRIME, t
    _, inverse = root_of_ratio(1, u1 * u2 * u2)
    den1, den2 = inverse * u1 % PRIME, inverse * u2 % PRIME
    z = den1 * den2 * t % PRIME
    if negative(t * z):
        x, y, den = y * ROOT % PRIME, x * ROOT % PRIME, den1 * INVSQRT_A_MINUS_D % PRIME
    else:
        den = den2
    if negative(x * z):
        y = -y % PRIME
    return magnitude(den * (1 - y)).to_bytes(32, "little")


def slow_point(one):
    """hash_to_ristretto255 of RFC 9380, Appendix B."""
    suffix = DOMAIN + bytes([len(DOMAIN)])
    first = hashlib.sha512(bytes(128) + RUN + one + b"\x00\x40\x00" + suffix).digest()
    wide = hashlib.sha512(first + b"\x01" + suffix).digest()
    return plus(elligator(wide[:32]), elligator(wide[32:]))


@settings(max_examples=25, deadline=None)
@given(one=st.binary(min_size=32, max_size=32), a=scalars, b=scalars)
def test_points_masks_and_tags_are_those_of_the_rfcs_in_whole_numbers(one, a, b):
    point = slow_point(one)
    hashed = group.hash_to_group(column([one]), domain=DOMAIN, run=RUN)
    assert hashed.to_pylist() == [encoded(point)]
    ours = masked([one], key(a))
    assert ours.to_pylist() == [encoded(times(a, point))]
    twice = encoded(times(b, times(a, point)))
    assert group.raise_points(ours, key(b)).to_pylist() == [twice]
    assert group.tags(ours, key(b)).to_pylist() == [twice[: group.TAG]]


# --- what must hold ---


@settings(max_examples=40, deadline=None)
@given(ids=ids_strategy, a=scalars, b=scalars)
def test_masks_commute_and_can_be_taken_off(ids, a, b):
    alpha, beta = key(a), key(b)
    both = group.raise_points(masked(ids, alpha), beta)
    assert both.equals(group.raise_points(masked(ids, beta), alpha))
    assert both.equals(masked(ids, key(a * b % ORDER)))
    hashed = group.hash_to_group(column(ids), domain=DOMAIN, run=RUN)
    assert group.raise_points(masked(ids, alpha), alpha.inverse()).equals(hashed)
    assert len(set(both.to_pylist())) == len(ids)


@settings(max_examples=20, deadline=None)
@given(ids=ids_strategy, data=st.data())
def test_sorted_masks_do_not_depend_on_the_order_of_the_ids(ids, data):
    secret = group.new_key()
    shuffled = data.draw(st.permutations(ids))
    one, other = group.sort(masked(ids, secret)), group.sort(masked(shuffled, secret))
    assert one.equals(other)
    assert one.to_pylist() == sorted(masked(ids, secret).to_pylist())


@settings(max_examples=20, deadline=None)
@given(ids=ids_strategy, start=st.integers(0, 39), threads=st.integers(1, 3))
def test_pieces_and_threads_do_not_change_what_is_made(ids, start, threads):
    secret = group.new_key()
    whole = masked(ids, secret)
    sliced = group.mask(column(ids)[start:], secret, domain=DOMAIN, run=RUN, threads=threads)
    assert sliced.equals(whole[start:])
    many = masked([i.to_bytes(32, "big") for i in range(700)], secret, threads)
    assert many.equals(masked([i.to_bytes(32, "big") for i in range(700)], secret, 1))


def test_domain_and_run_and_key_change_every_point():
    secret, ids = group.new_key(), column([bytes(32)])
    made = {
        group.mask(ids, one, domain=domain, run=run).to_pylist()[0]
        for one in (secret, group.new_key())
        for domain in (b"a", b"b")
        for run in (b"r", b"s")
    }
    assert len(made) == 8


def test_random_points_are_valid_and_differ():
    points = group.random_points(1_000)
    group.check_points(points)
    group.check_distinct(points, length=32)
    # The bits that no encoding has are clear, all the others are met both ways.
    seen = [0, 0]
    for point in points.to_pylist():
        number = int.from_bytes(point, "little")
        seen = [seen[0] | ~number & (2**256 - 1), seen[1] | number]
    assert seen[1] == 2**255 - 2
    assert seen[0] == 2**256 - 1


# --- what another party may not send ---


@settings(max_examples=300, deadline=None)
@given(bad=st.binary(min_size=32, max_size=32), place=st.integers(0, 4))
def test_any_32_bytes_are_a_canonical_point_or_refused_with_the_row_alone(bad, place):
    points = group.random_points(5).to_pylist()
    points[place] = bad
    secret = group.new_key()
    raised, error = outcome(lambda: group.raise_points(column(points), secret))
    if error is None:
        # Encodings are unique: what was taken comes back as it was.
        assert group.raise_points(raised, secret.inverse()).to_pylist()[place] == bad
        return
    assert (error.code, error.row) in {("not-a-point", place), ("identity", place)}
    assert bad.hex() not in str(error)
    assert outcome(lambda: group.check_points(column(points)))[1].row == place
    assert outcome(lambda: group.tags(column(points), secret))[1].row == place


@settings(max_examples=60, deadline=None)
@given(flips=st.sets(st.integers(0, 255), min_size=1, max_size=3))
def test_a_flipped_bit_never_passes_as_the_same_point(flips):
    (point,) = group.random_points(1).to_pylist()
    changed = int.from_bytes(point, "little")
    for bit in flips:
        changed ^= 1 << bit
    raised, error = outcome(lambda: group.raise_points(column([changed.to_bytes(32, "little")]), key(3)))
    if error is not None:
        assert error.row == 0
        return
    assert raised != group.raise_points(column([point]), key(3))
    assert not flips & {0, 255}


def test_identity_non_canonical_and_repeated_points_are_refused():
    points = group.random_points(400).to_pylist()
    non_canonical = (int.from_bytes(points[1], "little") + PRIME).to_bytes(32, "little")
    for bad, code in [(bytes(32), "identity"), (non_canonical, "not-a-point"), (b"\x01" * 32, "not-a-point")]:
        spoilt = column([*points, bad, bad])
        for refuse in (
            lambda spoilt=spoilt: group.check_points(spoilt),
            lambda spoilt=spoilt: group.raise_points(spoilt, key(7), threads=2),
            lambda spoilt=spoilt: group.tags(spoilt, key(7)),
        ):
            with pytest.raises(group.RecordError) as caught:
                refuse()
            assert (caught.value.code, caught.value.row) == (code, 400)
    with pytest.raises(group.RecordError) as caught:
        group.check_distinct(column([*points, points[9], points[3]]), length=32)
    assert (caught.value.code, caught.value.row) == ("repeated", 400)
    group.check_distinct(column(points), length=32)


def test_points_are_read_out_of_wider_records():
    points, rest = group.random_points(50), group.records(bytes(range(50)) * 64, 64)
    wide = group.interleave([points, rest])
    secret = group.new_key()
    assert group.raise_points(wide, secret).equals(group.raise_points(points, secret))
    turned = group.interleave([rest, points])
    assert group.tags(turned, secret, at=64).equals(group.tags(points, secret))
    with pytest.raises(group.RecordError, match="width"):
        group.tags(turned, secret, at=65)


# --- arguments ---


@pytest.mark.parametrize(
    "data", [b"", bytes(32), bytes(31), b"\x01" * 33, ORDER.to_bytes(32, "little"), b"\xff" * 32]
)
def test_what_is_no_key_is_refused_and_not_quoted(data):
    for load in (group.load_key, group.load_elgamal_key):
        with pytest.raises(SecretError) as caught:
            load(data)
        assert str(data) not in str(caught.value)


def test_keys_come_back_and_do_not_show():
    secret = group.new_key()
    assert group.load_key(secret.to_bytes()).to_bytes() == secret.to_bytes()
    assert secret.to_bytes().hex() not in repr(secret) + str(secret)
    pair = group.new_elgamal_key()
    assert group.load_elgamal_key(pair.to_bytes()).public == pair.public
    assert "secret" in repr(pair)


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        (pa.array([b"x" * 32, None], pa.binary(32)), "null"),
        (pa.array([b"x" * 31], pa.binary(31)), "bad-width"),
        (pa.array([b"x" * 31], pa.binary()), "unsupported-type"),
        (pa.array(["x"]), "unsupported-type"),
        (pa.array([1]), "unsupported-type"),
    ],
    ids=str,
)
def test_columns_of_another_kind_are_refused(ids, code):
    secret = group.new_key()
    with pytest.raises(group.RecordError) as caught:
        group.mask(ids, secret, domain=DOMAIN, run=RUN)
    assert caught.value.code == code
    assert caught.value.row == (1 if code == "null" else None)


def test_senseless_arguments_are_refused_and_nothing_is_no_error():
    secret, ids = group.new_key(), column([bytes(32)])
    for domain in (b"", bytes(256)):
        with pytest.raises(group.RecordError, match="domain"):
            group.mask(ids, secret, domain=domain, run=RUN)
    for threads in (-1, 2_000):
        with pytest.raises(InputError):
            group.mask(ids, secret, domain=DOMAIN, run=RUN, threads=threads)
    with pytest.raises(group.RecordError):
        group.random_points(2**40)
    with pytest.raises(group.RecordError):
        group.records(bytes(33), 32)
    empty = ids[:0]
    assert len(group.mask(empty, secret, domain=DOMAIN, run=RUN)) == 0
    assert len(group.tags(empty, secret)) == 0
    group.check_points(empty)


def test_the_backend_is_one_of_three():
    assert group.backend() in {"avx512ifma", "avx2", "serial"}
