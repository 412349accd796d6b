# SPDX-License-Identifier: Apache-2.0
"""How the made-up people are spread: prefectures, age bands, airports, nights away.

The prefectures' weights are their inhabitants in thousands at Japan's census of 2020 (Statistics Bureau of
Japan, open data, rounded). The others are made up in the shape such figures have: age bands lean to the
middle aged as subscriptions do, airports to the few large ones as passengers of domestic flights do. They
describe no company.
"""

from __future__ import annotations

from typing import Final

__all__ = ["AGE_BANDS", "AIRPORTS", "MOST_NIGHTS", "PREFECTURES", "nights"]

PREFECTURES: Final[dict[str, int]] = {
    "Hokkaido": 5225,
    "Aomori": 1238,
    "Iwate": 1211,
    "Miyagi": 2302,
    "Akita": 960,
    "Yamagata": 1068,
    "Fukushima": 1833,
    "Ibaraki": 2867,
    "Tochigi": 1933,
    "Gunma": 1939,
    "Saitama": 7345,
    "Chiba": 6284,
    "Tokyo": 14048,
    "Kanagawa": 9237,
    "Niigata": 2201,
    "Toyama": 1035,
    "Ishikawa": 1133,
    "Fukui": 767,
    "Yamanashi": 810,
    "Nagano": 2048,
    "Gifu": 1979,
    "Shizuoka": 3633,
    "Aichi": 7542,
    "Mie": 1770,
    "Shiga": 1414,
    "Kyoto": 2578,
    "Osaka": 8838,
    "Hyogo": 5465,
    "Nara": 1324,
    "Wakayama": 923,
    "Tottori": 553,
    "Shimane": 671,
    "Okayama": 1888,
    "Hiroshima": 2800,
    "Yamaguchi": 1342,
    "Tokushima": 720,
    "Kagawa": 950,
    "Ehime": 1335,
    "Kochi": 692,
    "Fukuoka": 5135,
    "Saga": 811,
    "Nagasaki": 1312,
    "Kumamoto": 1738,
    "Oita": 1124,
    "Miyazaki": 1070,
    "Kagoshima": 1588,
    "Okinawa": 1467,
}
"""Prefecture -> weight, in the order of the national code (01 to 47)."""

AGE_BANDS: Final[dict[str, int]] = {
    "10s": 9,
    "20s": 13,
    "30s": 14,
    "40s": 18,
    "50s": 17,
    "60s": 14,
    "70s": 11,
    "80s": 4,
}
"""Age band -> weight."""

AIRPORTS: Final[dict[str, tuple[int, str, int]]] = {
    "HND": (36, "Tokyo", 15),
    "CTS": (17, "Hokkaido", 25),
    "FUK": (14, "Fukuoka", 18),
    "OKA": (13, "Okinawa", 35),
    "ITM": (7, "Osaka", 12),
    "NGO": (4, "Aichi", 12),
    "KOJ": (3, "Kagoshima", 22),
    "KIX": (3, "Osaka", 16),
    "KMJ": (2, "Kumamoto", 18),
    "SDJ": (1, "Miyagi", 14),
}
"""Airport flown to -> weight, its prefecture, mean nights in tenths (before the longest are cut)."""

MOST_NIGHTS: Final = 30


def nights(tenths: int) -> list[int]:
    """Weights of stays of 0, 1, ... `MOST_NIGHTS` nights: geometric, of a mean given in tenths of a night.

    In whole numbers, so that the same seed gives the same people on every machine.
    """
    made, weight = [], 10**8
    for _ in range(MOST_NIGHTS + 1):
        made.append(weight)
        weight = weight * tenths // (tenths + 10)
    return made
