# SPDX-License-Identifier: Apache-2.0
"""Words of the page of all that runs or ran at this node."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "jobs.title": ("Jobs", "ジョブ"),
    "jobs.lead": (
        "What runs at this node now, and what ran.",
        "このノードで実行中および実行済みの処理です。",
    ),
    "jobs.asks": ("Questions asked here", "このノードからの質問"),
    "jobs.asks_none": ("No question runs or ran.", "質問はありません。"),
    "jobs.node": ("Runs this node has a part in", "このノードが参加する処理"),
    "jobs.node_lead": (
        "Questions of any member that outlive a request: this node leads them, or computes its part.",
        "メンバーの質問のうち時間のかかるものです。このノードが主導するか、一部を計算します。",
    ),
    "jobs.node_none": ("This node has no part in a long run.", "参加中の長い処理はありません。"),
    "jobs.learning": ("Learning runs", "学習"),
    "jobs.learning_none": ("No learning run is or was here.", "学習の実行はありません。"),
    "jobs.room": ("Room", "ルーム"),
    "jobs.phase": ("Phase", "段階"),
    "jobs.since": ("Since", "開始"),
    "jobs.took": ("Time", "時間"),
    "jobs.asked_by": ("Asked by", "質問者"),
    "jobs.part": ("Part", "役割"),
    "jobs.part_lead": ("leads", "主導"),
    "jobs.part_partner": ("takes part", "参加"),
    "jobs.part_upload": ("gave its table as shares", "テーブルをシェアとして提供"),
    "jobs.state_open": ("under way", "実行中"),
    "jobs.state_released": ("released, being delivered", "開示済み・配信中"),
    "jobs.state_done": ("done", "完了"),
    "jobs.state_failed": ("failed", "失敗"),
    "jobs.state_refused": ("refused", "拒否"),
    "jobs.refresh": ("Look again", "更新"),
}
