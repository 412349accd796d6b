# SPDX-License-Identifier: Apache-2.0
"""Words of served models."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "models.title": ("Models", "モデル"),
    "models.lead": (
        (
            "Models that members serve. Rows reach a model encrypted only; its owner computes on them "
            "without reading them, and the asker gets scores with noise."
        ),
        (
            "メンバーが提供するモデルです。行は暗号化されたままモデルに届き、所有者は内容を見ずに計算します"
            "。質問者はノイズ付きのスコアを受け取ります。"
        ),
    ),
    "models.none": (
        (
            "No model is served in this room. `hitoku model compile` and `hitoku model serve` prepare one; "
            "the members agree on it in a new version."
        ),
        (
            "このルームで提供されているモデルはありません。`hitoku model compile` と `hitoku model serve` "
            "で準備し、新しい版で合意します。"
        ),
    ),
    "models.model": ("Model", "モデル"),
    "models.owner": ("Owner", "所有者"),
    "models.askers": ("Who may ask", "質問できるメンバー"),
    "models.rows_per_day": ("Rows a day, each", "1 日あたりの行数（各メンバー）"),
    "models.left": ("Rows left today", "本日の残り行数"),
    "models.rounding": ("Noise on a score, at least", "スコアのノイズ幅（最小）"),
    "models.client": ("Client specification", "クライアント仕様"),
    "models.mine": ("served by this node", "このノードが提供"),
    "models.missing": (
        "This node does not have the model's files, so it cannot serve it.",
        "このノードにモデルのファイルがないため、提供できません。",
    ),
    "models.other": (
        "The files here are of another model than the members signed: the node refuses to serve it.",
        "ここにあるファイルはメンバーが署名したモデルと異なります。ノードは提供を拒否します。",
    ),
    "models.tells": ("What a score tells", "スコアから分かること"),
    "models.tells_asker": (
        (
            "An asker learns the client specification and one score a row and output, each with noise at "
            "least {rounding} wide: differences below that tell nothing reliable. Many scores together "
            "tell more and more of the model; that is what rows a day are for."
        ),
        (
            "質問者が知るのは、クライアント仕様と、行と出力ごとに一つのスコアです。各スコアには幅 "
            "{rounding} 以上のノイズがあり、それより小さい差から確かなことは分かりません。多くのスコアを集"
            "めるほどモデルについて多くが分かるため、1 日の行数に上限があります。"
        ),
    ),
    "models.tells_owner": (
        "The owner learns who asks, when, and how many rows at most. It sees neither rows nor scores.",
        "所有者が知るのは、誰がいつ、最大何行を質問したかだけです。行もスコアも見えません。",
    ),
    "models.used": ("Asked today (UTC)", "本日の利用 (UTC)"),
    "models.member": ("Member", "メンバー"),
    "models.rows": ("Rows", "行数"),
    "models.requests": ("Requests", "リクエスト"),
    "models.failed": ("Failed", "失敗"),
    "models.ever": ("Rows ever", "累計行数"),
    "models.counts_owner": (
        "As this member's own ledger has it; the owner's count decides.",
        "このメンバーの台帳による値です。所有者側の値が優先されます。",
    ),
    "models.circuit": ("Circuit report", "回路レポート"),
    "models.shape": ("Inputs of a row", "1 行の入力数"),
    "models.scores": ("Scores", "スコア数"),
    "models.room_for": ("Rows a request has room for", "1 リクエストの行数"),
    "models.degree": ("Ring degree", "環の次数"),
    "models.security": ("Security (bits)", "安全性（ビット）"),
    "models.depth": ("Depth", "深さ"),
    "models.bits": ("Precision of a score (bits)", "スコアの精度（ビット）"),
    "models.up": ("Bytes of a request", "リクエストのバイト数"),
    "models.down": ("Bytes of an answer", "回答のバイト数"),
    "models.ms": ("Milliseconds of a request", "1 リクエストのミリ秒"),
    "models.no_report": (
        (
            "The report that `hitoku model compile` wrote is not beside the model; compile and serve it "
            "again to see precision and cost here."
        ),
        (
            "`hitoku model compile` のレポートがモデルと同じ場所にありません。再度コンパイルして提供すると"
            "、精度と費用がここに表示されます。"
        ),
    ),
    "models.why": ("Why these parameters", "パラメーターの理由"),
    "models.score": ("Have rows scored", "行を採点してもらう"),
    "models.score_about": (
        (
            "A CSV file with a header and a column of numbers for each input, in the model's order. The "
            "rows are encrypted in this node and leave it encrypted only; the file is not kept."
        ),
        (
            "ヘッダー行があり、モデルの入力の順に数値の列が並ぶ CSV ファイル。行はこのノードで暗号化され、"
            "暗号化されたままでのみ外に出ます。ファイルは保存しません。"
        ),
    ),
    "models.file": ("CSV file", "CSV ファイル"),
    "models.start": ("Score", "採点"),
    "models.not_asker": (
        "This member may not have rows scored by it.",
        "このメンバーはこのモデルに採点を依頼できません。",
    ),
    "models.need_ask": ("You need the ability to ask.", "質問の権限が必要です。"),
    "models.yours": ("Your scorings", "あなたの採点"),
    "models.state_running": ("under way", "実行中"),
    "models.state_done": ("done", "完了"),
    "models.state_failed": ("failed", "失敗"),
    "models.scores_title": ("Scores", "スコア"),
    "models.phase": ("Now", "現在の処理"),
    "models.first": ("The first rows", "最初の行"),
    "models.row": ("Row", "行"),
    "models.download": ("Download CSV", "CSV をダウンロード"),
    "models.learned": ("Who learned what", "誰が何を知ったか"),
    "models.charged": ("Rows charged", "計上された行数"),
    "models.runs": ("Runs", "実行"),
    "models.back": ("To the model", "モデルへ戻る"),
    "models.all": ("All models", "モデルの一覧"),
    "models.error": ("This is an error in hitoku itself.", "hitoku 自体のエラーです。"),
}
