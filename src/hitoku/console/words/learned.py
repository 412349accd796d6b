# SPDX-License-Identifier: Apache-2.0
"""Who learns what: the sentences of `hitoku.disclosure.leakage`, as protections write them, and in Japanese.

Explanations and answers carry these sentences in English, as text; `hitoku.console.told` finds the pattern
that a sentence has and says it in Japanese. A sentence without a pattern stays as it is.
"""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    # What stands between the answer and one person, and what an answer tells of which columns.
    "learned.by_least": (
        "every released row rests on at least {least}",
        "開示される行はすべて、少なくとも {least} に基づきます",
    ),
    "learned.by_noise": (
        "every figure carries noise",
        "すべての数値にノイズが加わります",
    ),
    "learned.by_listing": (
        "every listed row, and no threshold protects",
        "一覧のすべての行が対象で、しきい値による保護はありません",
    ),
    "learned.by_nothing": (
        "no threshold protects: a row may rest on one person",
        "しきい値による保護はありません。一人の値だけに基づく行もありえます",
    ),
    "learned.least": (
        "{minimum} of {column}",
        "{column} {minimum} 件",
    ),
    "learned.no_column": (
        "no column",
        "どの列についても何もわかりません",
    ),
    "learned.more_columns": (
        "{count} more columns",
        "ほか {count} 列",
    ),
    "learned.level_plain": (
        "{column} plain",
        "{column} の行ごとの値",
    ),
    "learned.level_after_join": (
        "{column} after join",
        "{column} の一致した行の値",
    ),
    "learned.level_after_group_by": (
        "{column} after group by",
        "{column} にどの値があるか",
    ),
    "learned.level_one_of_group": (
        "{column} one of group",
        "{column} のグループごとの一つの値",
    ),
    "learned.level_after_aggregate": (
        "{column} after aggregate",
        "{column} の集計値",
    ),
    "learned.level_after_compare": (
        "{column} after compare",
        "{column} の比較の結果",
    ),
    "learned.level_never": (
        "{column} never",
        "{column} については何もわかりません",
    ),
    # All protections.
    "learned.answer": (
        "the released answer; {protected}; it tells of {reveals}",
        "開示された回答。{protected}。回答からわかること: {reveals}",
    ),
    "learned.answer_receiver": (
        "the released answer, where it is a receiver; {protected}; it tells of {reveals}",
        "受信者である場合、開示された回答。{protected}。回答からわかること: {reveals}",
    ),
    "learned.question": (
        "that the question was asked, by whom, and its text",
        "質問がされたこと、質問者、質問の文",
    ),
    # tokens
    "learned.tokens_sizes": (
        "the number of rows and the names of the columns of {tables}",
        "{tables} の行数と列名",
    ),
    "learned.tokens_cells": (
        "the result before thresholds, small groups included",
        "しきい値を適用する前の結果（小さなグループを含む）",
    ),
    "learned.tokens_equal_names": (
        (
            "which rows have equal values and how often each value occurs, in {columns} and between "
            "columns of the same name; not the values"
        ),
        (
            "{columns} の中と同名の列の間で、どの行の値が等しいか、各値が何回現れるか。"
            "値そのものはわかりません"
        ),
    ),
    "learned.tokens_equal_all": (
        (
            "which rows have equal values and how often each value occurs, in {columns} and between all "
            "fingerprint columns of the room, which share one key; not the values"
        ),
        (
            "{columns} の中と、一つの鍵を共有するルームのすべてのフィンガープリント列の間で、"
            "どの行の値が等しいか、各値が何回現れるか。値そのものはわかりません"
        ),
    ),
    "learned.tokens_match": (
        "which rows of the joined tables match each other",
        "結合したテーブルのどの行が互いに一致するか",
    ),
    "learned.tokens_lengths": (
        "the padded length of each value of {columns}; not the values",
        "{columns} の各値の、詰め物をした後の長さ。値そのものはわかりません",
    ),
    "learned.tokens_nulls": (
        "which encrypted values are NULL",
        "どの暗号化された値が NULL か",
    ),
    "learned.tokens_clear": (
        "every value of {columns}, row by row",
        "{columns} のすべての値（行ごと）",
    ),
    "learned.tokens_assumption": (
        (
            "the host does not collude with anyone who holds the room's secret; with that secret it "
            "could decrypt every sealed value and test guesses against every fingerprint"
        ),
        (
            "ホストが、ルームの秘密を持つ者と結託しないこと。その秘密があれば、"
            "封印されたすべての値を復号でき、すべてのフィンガープリントに対して推測を試せます"
        ),
    ),
    # crosstab
    "learned.crosstab_evidence": (
        "what {member}'s node runs: the program, versions, and the identity of its hardware",
        "{member} のノードで動いているもの: プログラム、バージョン、ハードウェアの識別情報",
    ),
    "learned.crosstab_software": (
        (
            "nothing by it: this room accepts evidence that no hardware vouches for, and who runs a "
            "machine can make such evidence of anything. It shows how mutual attestation goes and "
            "protects nothing"
        ),
        (
            "これからは何もわかりません。このルームはハードウェアが保証しない証拠を受け入れており、"
            "機器を動かす者はどのような証拠でも作れます。相互の構成証明の手順を示すだけで、"
            "何も保護しません"
        ),
    ),
    "learned.crosstab_sizes": (
        "how many people {member} has in each of its {cells} groups, padded with dummies and noised",
        "{member} の {cells} 個のグループそれぞれの人数（ダミーを加え、ノイズを加えたもの）",
    ),
    "learned.crosstab_cells": (
        (
            "how many people both have in each of the {cells} cells, with {member}'s noise; not who they "
            "are, and no exact number of them"
        ),
        (
            "{cells} 個のセルそれぞれで双方に共通する人数（{member} のノイズが加わったもの）。"
            "誰であるかも正確な人数もわかりません"
        ),
    ),
    "learned.crosstab_table": (
        "the noised counts of all {cells} cells, with {member}'s noise; no match at all",
        "{cells} 個のすべてのセルの、{member} のノイズが加わった件数。誰が一致したかはまったくわかりません",
    ),
    "learned.crosstab_table_sums": (
        "the noised counts and the sums of all {cells} cells, with {member}'s noise; no match at all",
        (
            "{cells} 個のすべてのセルの、{member} のノイズが加わった件数と合計。"
            "誰が一致したかはまったくわかりません"
        ),
    ),
    "learned.crosstab_answer": (
        "the answer, where it is a receiver; {protected}; it tells of {reveals}",
        "受信者である場合、回答。{protected}。回答からわかること: {reveals}",
    ),
    "learned.crosstab_answer_owner": (
        "the answer; {protected}; it tells of {reveals}",
        "回答。{protected}。回答からわかること: {reveals}",
    ),
    "learned.crosstab_follows": (
        (
            "both owners run the program as agreed, decisional Diffie-Hellman is hard in ristretto255 "
            "and its hash is a random oracle; not covered, and not noticed: {deviations}"
        ),
        (
            "双方の所有者が合意したとおりにプログラムを動かすこと、ristretto255 で決定 Diffie-Hellman "
            "問題が困難であり、そのハッシュがランダムオラクルであること。対象外であり検知されないこと: "
            "{deviations}"
        ),
    ),
    "learned.crosstab_attested": (
        (
            "each node proves to the other, before anything leaves, that it runs the program that the "
            "members signed for: that holds as far as the platforms' makers and their keys do, and what "
            "table a node reads stays its owner's word; decisional Diffie-Hellman is hard in "
            "ristretto255 and its hash is a random oracle; not covered, and not noticed: who can write "
            "to a node's disk, as its operator can, edits the files that the node keeps of a run before "
            "it sends them, and so can still bring about {deviations}"
        ),
        (
            "何かが外に出る前に、各ノードは、"
            "メンバーが署名したプログラムを動かしていることを相手に証明します。"
            "これはプラットフォームの製造者とその鍵が信頼できる範囲で成り立ち、"
            "ノードがどのテーブルを読むかは所有者の言葉によります。ristretto255 で決定 Diffie-Hellman "
            "問題が困難であり、そのハッシュがランダムオラクルであること。対象外であり検知されないこと: "
            "運用者のようにノードのディスクに書ける者は、"
            "ノードが実行のために保存したファイルを送信前に書き換えられるため、次のことを起こせます: "
            "{deviations}"
        ),
    ),
    "learned.crosstab_deviations": (
        (
            "{a} leaving out its dummies (then {b}'s noise is lost), {c} encrypting values beyond the "
            "bounds, {d} putting one sum into several cells or shifting it so that {e} cannot open it; "
            "how long each takes; transcripts kept for years fall to a quantum computer or to a leaked "
            "key"
        ),
        (
            "{a} がダミーを省くこと（{b} のノイズが失われます）、{c} が範囲を超える値を暗号化すること、"
            "{d} が一つの合計を複数のセルに入れたり、{e} が開けないようにずらしたりすること。"
            "各処理の所要時間。長年保存された通信記録は、量子計算機または漏えいした鍵によって破られます"
        ),
    ),
    # shares
    "learned.shares_sizes": (
        (
            "as a server, how many rows {tables} have, or groups that an owner makes of them, padded; "
            "between which rounded or declared bounds the values of the columns lie, whether some are "
            "missing, how many texts they have and how long these are, rounded up; in how many rows a "
            "value is repeated that tables are joined by, rounded up, or that it is unique; how long "
            "each step took; and how many rows are released"
        ),
        (
            "サーバーとして: {tables} の行数、または所有者がまとめたグループの数（詰め物を含む）。"
            "列の値がどの範囲にあるか（丸めた値または申告値）、欠損の有無、文字列の数と長さ（切り上げ）。"
            "結合に使う値が何行で繰り返されるか（切り上げ）、または一意であること。各段階の所要時間。"
            "開示される行の数"
        ),
    ),
    "learned.shares_nothing": (
        "as a server, no value of {tables} and nothing of the answer",
        "サーバーとして: {tables} の値も、回答の内容も、何もわかりません",
    ),
    "learned.shares_noise": (
        "its own draws of noise, a third of all",
        "自身が引いたノイズ（全体の三分の一）",
    ),
    "learned.shares_types": (
        (
            "where it is a receiver, of the columns of the answer how large their numbers could be and "
            "how long their texts, rounded up; that follows from how many rows {tables} have, padded, "
            "and from bounds and lengths of their columns, as declared or rounded"
        ),
        (
            "受信者である場合: 回答の列の数値がどこまで大きくなりうるか、文字列がどこまで長くなりうるか（"
            "切り上げ）。これは {tables} の行数（詰め物を含む）と、列の範囲と長さ（申告値または丸めた値）"
            "から決まります"
        ),
    ),
    "learned.shares_parts": (
        "hashes of the sealed parts that the receivers got, nothing of the answer",
        "受信者が受け取った封印済みの部分のハッシュ。回答の内容は何もわかりません",
    ),
    "learned.shares_majority": (
        (
            "no two of the three servers put together what they have, now or later; all three, and the "
            "owners, run the program as agreed, and AES is a pseudorandom function. One server that "
            "deviates is noticed only where that is cheap: opened values and what receivers get are "
            "compared; that it makes results wrong, or learns more by what it does, is not ruled out. "
            "The implementation has not been audited"
        ),
        (
            "三つのサーバーのうちどの二つも、現在も将来も、手元のものを合わせないこと。"
            "三つのサーバーと所有者が合意したとおりにプログラムを動かし、AES "
            "が擬似ランダム関数であること。一つのサーバーの逸脱は、安価に検査できる所でだけ検知されます。"
            "公開された値と受信者が受け取るものは照合されます。逸脱によって結果が誤ること、"
            "またはサーバーがより多くを知ることは、排除されていません。この実装は監査を受けていません"
        ),
    ),
    "learned.shares_draws": (
        (
            "two of the three servers draw their noise as agreed and keep it to themselves: then a "
            "receiver that works together with the third still faces as much noise as the accounts ask "
            "for. Sizes and widths of tables, which servers see, carry no noise"
        ),
        (
            "三つのサーバーのうち二つが、合意したとおりにノイズを引き、それを外に出さないこと。このとき、"
            "残る一つと協力する受信者に対しても、口座が求めるだけのノイズが残ります。"
            "サーバーに見えるテーブルの大きさと幅にはノイズがありません"
        ),
    ),
    # enclave
    "learned.enclave_sizes": (
        (
            "how large {tables} are, sealed and in steps of about a megabyte, about how large the answer "
            "is, when each step of the run happened, and whether the run came to an answer"
        ),
        (
            "{tables} の大きさ（封印後、約 1 MB 刻み）、回答のおおよその大きさ、実行の各段階の時刻、"
            "実行が回答に至ったかどうか"
        ),
    ),
    "learned.enclave_nothing": (
        "no value of {tables} and nothing of the answer",
        "{tables} の値も、回答の内容も、何もわかりません",
    ),
    "learned.enclave_evidence": (
        "what program ran at {host}, on what platform, and when it got the keys",
        "{host} でどのプログラムがどのプラットフォーム上で動いたか、いつ鍵を受け取ったか",
    ),
    "learned.enclave_closed": (
        (
            "the hardware that vouches for the enclave is what its maker says, and nobody has taken its "
            "keys out (who holds the machine can, on several makes: TEE.fail, WireTap, Battering RAM); "
            "the program that the owners signed for does what it should; not covered: what memory "
            "accesses, power and timing tell who watches the machine closely"
        ),
        (
            "エンクレーブを保証するハードウェアが製造者の説明どおりであり、"
            "その鍵が誰にも取り出されていないこと（機器を持つ者は、いくつかの機種で取り出せます: "
            "TEE.fail、WireTap、Battering RAM）。所有者が署名したプログラムが意図どおりに動くこと。"
            "対象外: メモリーアクセス、電力、時間から、機器を間近で観察する者が知りうること"
        ),
    ),
    "learned.enclave_software": (
        (
            "whatever it likes, if it looks: this room accepts evidence that no hardware vouches for, "
            "and who runs the machine can read the enclave's memory. This shows how things go and "
            "protects nothing"
        ),
        (
            "見ようとすれば何でも。このルームはハードウェアが保証しない証拠を受け入れており、"
            "機器を動かす者はエンクレーブのメモリーを読めます。手順を示すだけで、何も保護しません"
        ),
    ),
}
