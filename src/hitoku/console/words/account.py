# SPDX-License-Identifier: Apache-2.0
"""Words of a user's own account."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "account.title": ("Your account", "アカウント"),
    "account.what": ("What you may do", "できること"),
    "account.signs_in": ("Sign-in", "サインイン方法"),
    "account.by_password": ("password", "パスワード"),
    "account.by_both": ("password and one-time code", "パスワードとワンタイムコード"),
    "account.by_provider": ("sign-in provider", "外部プロバイダー"),
    "account.look": ("Language and theme", "言語とテーマ"),
    "account.language": ("Language", "言語"),
    "account.theme": ("Theme", "テーマ"),
    "account.theme_auto": ("As the system", "システムに合わせる"),
    "account.theme_light": ("Light", "ライト"),
    "account.theme_dark": ("Dark", "ダーク"),
    "account.save": ("Save", "保存"),
    "account.password": ("Password", "パスワード"),
    "account.old": ("Present password", "現在のパスワード"),
    "account.new": ("New password", "新しいパスワード"),
    "account.new_hint": (
        "At least 12 characters; several words are good.",
        "12 文字以上。複数の単語を組み合わせると安全です。",
    ),
    "account.again": ("New password again", "新しいパスワード（確認）"),
    "account.change": ("Change the password", "パスワードを変更"),
    "account.wrong_password": ("The password is wrong.", "パスワードが違います。"),
    "account.not_the_same": ("The two new passwords differ.", "新しいパスワードが一致しません。"),
    "account.wrong_code": ("This code is wrong.", "コードが違います。"),
    "account.sign_in_again": (
        "You signed in too long ago: sign out and in again, then make the token.",
        "サインインから時間が経っています。いったんサインアウトし、再度サインインしてからトークンを作成してください。",
    ),
    "account.change_ends": (
        "All other sessions and all your tokens for programs end with it.",
        "他のセッションと、プログラム用トークンはすべて無効になります。",
    ),
    "account.no_such_ability": ("There is no such ability.", "そのような権限はありません。"),
    "account.done_password": (
        "The password is changed. All other sessions and all tokens have ended.",
        "パスワードを変更しました。他のセッションとトークンはすべて無効になりました。",
    ),
    "account.done_look": ("Saved.", "保存しました。"),
    "account.done_sessions": ("All other sessions have ended.", "他のセッションをすべて終了しました。"),
    "account.done_token": ("The token has ended.", "トークンを無効にしました。"),
    "account.done_onetime": (
        "One-time codes are off.",
        "ワンタイムコードを無効にしました。",
    ),
    "account.onetime": ("One-time codes", "ワンタイムコード"),
    "account.onetime_on": ("On", "有効"),
    "account.onetime_why": (
        "A second step at sign-in: six digits from an authenticator app on your phone.",
        "サインイン時に、スマートフォンの認証アプリに表示される 6 桁の数字も入力します。",
    ),
    "account.onetime_begin": ("Set up", "設定する"),
    "account.onetime_scan": (
        "Scan this picture with your authenticator app, then type the code it shows.",
        "認証アプリでこの画像を読み取り、表示されたコードを入力してください。",
    ),
    "account.onetime_picture": ("QR code for the authenticator app", "認証アプリ用の QR コード"),
    "account.onetime_type": ("Type it by hand instead", "手で入力する場合"),
    "account.onetime_finish": ("Confirm", "確認"),
    "account.onetime_change": ("New recovery codes, or switch off", "回復コードの再発行・無効化"),
    "account.onetime_drop": ("Switch one-time codes off", "ワンタイムコードを無効にする"),
    "account.recovery_left": ("{count} recovery codes are left.", "回復コードは残り {count} 個です。"),
    "account.recovery_new": ("Make new recovery codes", "回復コードを再発行"),
    "account.codes": ("Your recovery codes", "回復コード"),
    "account.codes_hint": (
        "Each works once instead of a one-time code. They are shown now and never again: keep them safe.",
        "ワンタイムコードの代わりに、それぞれ一度だけ使えます。今だけ表示されますので、安全な場所に保管してください。",
    ),
    "account.sessions": ("Sessions", "セッション"),
    "account.sessions_count": (
        "Signed in now, this browser included: {count}.",
        "現在のサインイン数（このブラウザーを含む）: {count}",
    ),
    "account.sessions_end": ("Sign out everywhere else", "他のすべてからサインアウト"),
    "account.tokens": ("Tokens for programs", "プログラム用トークン"),
    "account.tokens_hint": (
        "The Python client and the API sign in with a token instead of your password.",
        "Python クライアントと API は、パスワードの代わりにトークンを使います。",
    ),
    "account.token_name": ("Name", "名前"),
    "account.token_days": ("Ends after (days)", "有効期間（日）"),
    "account.token_used": ("Last used", "最終使用"),
    "account.token_until": ("Ends", "期限"),
    "account.token_end": ("End", "無効にする"),
    "account.token_make": ("Make a token", "トークンを作成"),
    "account.token_new": ("Your new token", "新しいトークン"),
    "account.shown_once": ("It is shown now and never again.", "今だけ表示され、再表示はできません。"),
    "account.copy": ("Copy", "コピー"),
    "account.never": ("never", "未使用"),
}
