# SPDX-License-Identifier: Apache-2.0
"""Words of the sign-in pages."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "login.title": ("Sign in", "サインイン"),
    "login.lead": ("The console of member {member}.", "メンバー {member} のコンソールです。"),
    "login.name": ("Name", "名前"),
    "login.password": ("Password", "パスワード"),
    "login.enter": ("Sign in", "サインイン"),
    "login.or": ("or", "または"),
    "login.by_provider": ("Sign in with {provider}", "{provider} でサインイン"),
    "login.wrong": ("Name or password is wrong.", "名前またはパスワードが違います。"),
    "login.slow": (
        "Too many attempts failed. Try again in {seconds} seconds.",
        "失敗が多すぎます。{seconds} 秒後にもう一度お試しください。",
    ),
    "login.failed": ("You are not signed in", "サインインできませんでした"),
    "login.code_title": ("One-time code", "ワンタイムコード"),
    "login.code": ("Code", "コード"),
    "login.code_hint": (
        "Six digits from your authenticator app, or one of your recovery codes.",
        "認証アプリの 6 桁の数字、または回復コードのいずれかを入力してください。",
    ),
    "login.wrong_code": (
        "This code is wrong or was used already. Wait for the next one.",
        "コードが違うか、すでに使われています。次のコードをお待ちください。",
    ),
    "login.again": ("Begin again", "最初からやり直す"),
}
