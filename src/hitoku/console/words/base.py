# SPDX-License-Identifier: Apache-2.0
"""Words that every page has, and of errors."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "base.product": ("hitoku", "hitoku 秘匿"),
    "base.skip": ("Skip to the content", "本文へ移動"),
    "base.member": ("This member", "このメンバー"),
    "base.nav": ("Main", "メイン"),
    "base.nav_overview": ("Overview", "概要"),
    "base.nav_rooms": ("Rooms", "ルーム"),
    "base.nav_jobs": ("Jobs", "ジョブ"),
    "base.nav_learning": ("Learning", "学習"),
    "base.nav_audit": ("Audit", "監査"),
    "base.nav_users": ("Users", "ユーザー"),
    "base.nav_room": ("This room", "このルーム"),
    "base.room_agreement": ("Agreement", "合意"),
    "base.room_members": ("Members", "メンバー"),
    "base.room_tables": ("Tables", "テーブル"),
    "base.room_ask": ("Ask", "質問"),
    "base.room_templates": ("Templates", "テンプレート"),
    "base.room_budgets": ("Budgets", "予算"),
    "base.room_ledger": ("Ledger", "台帳"),
    "base.room_attestation": ("Attestation", "構成証明"),
    "base.room_models": ("Models", "モデル"),
    "base.logout": ("Sign out", "サインアウト"),
    "base.nothing": ("There is nothing here yet.", "まだ何もありません。"),
    "base.refused": ("Refused", "拒否されました"),
    "base.refusal_clause": ("Clause", "句"),
    "base.refusal_rule": ("Rule", "ルール"),
    "base.refusal_owner": ("Owner", "所有者"),
    "base.refusal_remedy": ("What to do", "対処方法"),
    "base.pages": ("Pages", "ページ"),
    "base.before": ("Before", "前へ"),
    "base.after": ("Next", "次へ"),
    "error.400": ("This cannot be used", "この入力は使えません"),
    "error.403": ("Not allowed", "許可されていません"),
    "error.404": ("Not found", "見つかりません"),
    "error.404_more": (
        "There is nothing at this address, or it is not yours to see.",
        "このアドレスには何もないか、あなたには表示できません。",
    ),
    "error.409": ("This does not fit the room as it is", "ルームの現在の状態と合いません"),
    "error.413": ("Too large", "大きすぎます"),
    "error.422": ("Refused", "拒否されました"),
    "error.429": ("A limit was reached", "上限に達しました"),
    "error.500": ("Something went wrong here", "このノードでエラーが発生しました"),
    "error.500_more": (
        "This is an error in hitoku itself. The node's log names its type and place.",
        "hitoku 自体のエラーです。種類と場所はノードのログに記録されています。",
    ),
    "error.502": ("Another member did not answer", "他のメンバーが応答しませんでした"),
    "error.home": ("To the overview", "概要へ"),
}
