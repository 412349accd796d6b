# SPDX-License-Identifier: Apache-2.0
"""Words of the audit page."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "audit.title": ("Audit", "監査"),
    "audit.lead": (
        (
            "What people of this member did in this console. Of questions only the outcome is shown here; "
            "what the agreement demands stands in each room's ledger."
        ),
        (
            "このメンバーのユーザーがこのコンソールで行った操作の記録です。質問については結果だけを表示します"
            "。合意で求められる記録は各ルームの台帳にあります。"
        ),
    ),
    "audit.source": ("Record", "記録"),
    "audit.events": ("Sign-ins, signatures, changes", "サインイン・署名・変更"),
    "audit.asks": ("Questions", "質問"),
    "audit.who": ("User", "ユーザー"),
    "audit.what": ("What", "操作"),
    "audit.state": ("Outcome", "結果"),
    "audit.room": ("Room", "ルーム"),
    "audit.any": ("any", "すべて"),
    "audit.since": ("From", "開始日"),
    "audit.until": ("To", "終了日"),
    "audit.filter": ("Filter", "絞り込む"),
    "audit.clear": ("Clear", "条件を消す"),
    "audit.time": ("Time (UTC)", "日時 (UTC)"),
    "audit.detail": ("Detail", "詳細"),
    "audit.csv": ("Download CSV", "CSV をダウンロード"),
    "audit.none": ("Nothing fits.", "該当する記録はありません。"),
    "audit.older": ("Older", "より古い記録"),
    "audit.newest": ("Newest", "最新の記録"),
    "audit.ask": ("question", "質問"),
    "audit.nobody": ("nobody signed in", "未サインイン"),
}
