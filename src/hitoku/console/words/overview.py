# SPDX-License-Identifier: Apache-2.0
"""Words of the first page."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "overview.title": ("Overview", "概要"),
    "overview.waiting": ("Waiting for you", "対応が必要な項目"),
    "overview.nothing_waits": ("Nothing waits for you.", "対応が必要な項目はありません。"),
    "overview.waits_sign": (
        "Version {version} waits for your signature",
        "第{version}版があなたの署名を待っています",
    ),
    "overview.waits_proposal": (
        "{author} proposes version {version}: read and sign it",
        "{author} が第{version}版を提案しています。確認して署名してください",
    ),
    "overview.waits_runs": ("Questions under way: {count}", "実行中の質問: {count}"),
    "overview.waits_budget": (
        "The budget of {unit} is nearly spent",
        "{unit} の予算がまもなく尽きます",
    ),
    "overview.join": ("Join with an invitation", "招待で参加"),
    "overview.new": ("New room", "ルームを作成"),
    "overview.room": ("Room", "ルーム"),
    "overview.state": ("State", "状態"),
    "overview.version": ("Version", "版"),
    "overview.in_force": ("in force", "発効中"),
    "overview.waits": ("waits for signatures", "署名待ち"),
    "overview.broken": ("does not hold", "無効"),
    "overview.no_rooms": (
        "This node has no room yet. Create one, or join one by an invitation.",
        "このノードにはまだルームがありません。ルームを作成するか、招待で参加してください。",
    ),
    "overview.node": ("This node", "このノード"),
    "overview.database": ("Database", "データベース"),
    "overview.schema": ("schema {version}", "スキーマ {version}"),
    "overview.files": ("Room files", "ルームファイル"),
    "overview.unreadable": ("{count} cannot be read", "{count} 件を読み取れません"),
    "overview.program": ("Program", "プログラム"),
    "overview.good": ("good", "正常"),
    "overview.bad": ("does not answer", "応答なし"),
}
