# SPDX-License-Identifier: Apache-2.0
"""Words of the users' pages, and the abilities' names."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "users.title": ("Users", "ユーザー"),
    "users.add": ("Add a user", "ユーザーを追加"),
    "users.abilities": ("Abilities", "権限"),
    "users.none": ("none", "なし"),
    "users.may_ask": ("ask", "質問"),
    "users.may_ask_hint": (
        "Ask questions, have rows scored, and see what it asked.",
        "質問し、行を採点してもらい、その結果を見られます。",
    ),
    "users.may_tables": ("tables", "テーブル"),
    "users.may_tables_hint": (
        "Register the member's own tables, and draft their rules and budgets.",
        "自メンバーのテーブルを登録し、ルールと予算の案を作れます。",
    ),
    "users.may_sign": ("sign", "署名"),
    "users.may_sign_hint": (
        "Create rooms, invite, admit, sign and propose in the member's name.",
        "メンバーの名義で、ルームの作成、招待、承認、署名、提案を行えます。",
    ),
    "users.may_audit": ("audit", "監査"),
    "users.may_audit_hint": (
        "Read all that is recorded: ledgers, everybody's questions, budgets, sign-ins.",
        "台帳、全員の質問、予算、サインインなど、すべての記録を読めます。",
    ),
    "users.may_administer": ("administer", "管理"),
    "users.may_administer_hint": (
        "Manage users and the console's settings.",
        "ユーザーとコンソールの設定を管理できます。",
    ),
    "users.rooms": ("Rooms", "ルーム"),
    "users.all_rooms": ("All rooms", "すべてのルーム"),
    "users.only_these": ("Only these", "次のルームのみ"),
    "users.some_rooms": ("{count} rooms", "{count} ルーム"),
    "users.no_rooms": ("This node has no room yet.", "このノードにはまだルームがありません。"),
    "users.state": ("State", "状態"),
    "users.active": ("active", "有効"),
    "users.disabled": ("disabled", "停止中"),
    "users.disable": ("May not sign in", "サインインを停止"),
    "users.disable_hint": (
        "Sessions and tokens end at once.",
        "セッションとトークンは直ちに無効になります。",
    ),
    "users.created": ("Since", "作成日時"),
    "users.reset": ("Reset the password", "パスワードをリセット"),
    "users.reset_hint": (
        "Makes a new password, shown once, and switches one-time codes off. Sessions and tokens end.",
        "新しいパスワードを作成して一度だけ表示し、ワンタイムコードを無効にします。セッションとトークンは終了します。",
    ),
    "users.reset_sure": ("Reset this user's password?", "このユーザーのパスワードをリセットしますか？"),
    "users.password_of": ("Password of {name}", "{name} のパスワード"),
    "users.password_hint": (
        "It is shown now and never again. Hand it over in person; the user changes it on the account page.",
        "今だけ表示されます。本人に直接伝え、アカウントのページで変更してもらってください。",
    ),
}
