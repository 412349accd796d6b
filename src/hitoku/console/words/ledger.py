# SPDX-License-Identifier: Apache-2.0
"""Words of the ledger: entries, verification, proofs, heads, export."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "ledger.title": ("Ledger", "台帳"),
    "ledger.lead": (
        (
            "What this node recorded of this room, entry by entry. Every entry is hashed into one tree, "
            "and the tree's head is signed: an entry that is changed or taken out later is found."
        ),
        (
            "このノードがこのルームについて記録した内容です。各項目は一つのハッシュ木に入り、木の先頭（ヘッ"
            "ド）に署名されます。後から変更または削除された項目は検出されます。"
        ),
    ),
    "ledger.entries": ("Entries", "項目数"),
    "ledger.head": ("Signed head", "署名済みヘッド"),
    "ledger.head_time": ("Signed at", "署名日時"),
    "ledger.root": ("Root", "ルートハッシュ"),
    "ledger.last_check": ("Last verification", "前回の検証"),
    "ledger.never": ("not since this node started", "このノードの起動後は未実施"),
    "ledger.verify": ("Verify the whole ledger", "台帳全体を検証"),
    "ledger.heads": ("Heads of all members", "全メンバーのヘッド"),
    "ledger.check_proof": ("Check a proof", "証明を確認"),
    "ledger.export": ("Export for an auditor", "監査人向けに書き出す"),
    "ledger.search": ("Search", "検索"),
    "ledger.kind": ("Kind", "種類"),
    "ledger.any": ("any", "すべて"),
    "ledger.member": ("Member", "メンバー"),
    "ledger.run": ("Run", "実行 ID"),
    "ledger.since": ("From", "開始日"),
    "ledger.until": ("To", "終了日"),
    "ledger.text": ("Text in a field", "項目内の文字列"),
    "ledger.clear": ("Clear", "条件を消す"),
    "ledger.number": ("No.", "番号"),
    "ledger.time": ("Time (UTC)", "日時 (UTC)"),
    "ledger.what": ("What happened", "内容"),
    "ledger.none": ("No entry fits.", "条件に合う項目はありません。"),
    "ledger.empty": (
        "Nothing is recorded yet. Signing the room and asking questions writes entries.",
        "まだ記録はありません。ルームへの署名や質問によって項目が記録されます。",
    ),
    "ledger.reached": (
        "Looked through the entries down to number {seq}. Older ones are on the next page.",
        "番号 {seq} までを検索しました。より古い項目は次のページにあります。",
    ),
    "ledger.older": ("Older entries", "より古い項目"),
    "ledger.newest": ("Newest entries", "最新の項目"),
    "ledger.unreadable": (
        "This entry cannot be read: it was damaged or changed. Verify the ledger.",
        "この項目は読み取れません。破損または変更されています。台帳を検証してください。",
    ),
    "ledger.entry": ("Entry {seq}", "項目 {seq}"),
    "ledger.fields": ("Fields", "フィールド"),
    "ledger.canonical": (
        "Canonical JSON: the bytes that are hashed",
        "正規形 JSON（ハッシュされるバイト列）",
    ),
    "ledger.leaf": ("Leaf hash (SHA-256)", "葉のハッシュ (SHA-256)"),
    "ledger.copy": ("Copy", "コピー"),
    "ledger.proof": ("Download the inclusion proof", "包含証明をダウンロード"),
    "ledger.proof_about": (
        (
            "The proof shows anybody with the room's file that this entry stands at its place under a head "
            "that this member signed. It shows this entry and no other."
        ),
        (
            "この証明により、ルームのファイルを持つ人は誰でも、この項目がこのメンバーの署名したヘッドの下の"
            "所定の位置にあることを確認できます。他の項目は示されません。"
        ),
    ),
    "ledger.same_run": ("All entries of this run", "この実行のすべての項目"),
    "ledger.before_entry": ("Entry before", "前の項目"),
    "ledger.after_entry": ("Entry after", "次の項目"),
    "ledger.back": ("To the ledger", "台帳へ戻る"),
    # verification
    "ledger.verify_title": ("Verification", "検証"),
    "ledger.verify_about": (
        (
            "Reads every entry, computes the tree again and compares it with the signed head. A head that "
            "you kept elsewhere (on paper, at an auditor's, at another member's) also finds a ledger that "
            "was cut or rewritten together with its head."
        ),
        (
            "すべての項目を読み、木を計算し直し、署名済みヘッドと比べます。別の場所（紙、監査人、他のメンバ"
            "ーなど）に保管したヘッドがあれば、ヘッドごと切り詰めたり書き換えたりした台帳も見つかります。"
        ),
    ),
    "ledger.kept_head": ("A head kept elsewhere (optional)", "別に保管したヘッド（任意）"),
    "ledger.kept_hint": (
        "The JSON of a head of this ledger, as the page of heads or a proof shows it.",
        "この台帳のヘッドの JSON（ヘッドのページや証明にあるもの）。",
    ),
    "ledger.start": ("Start", "開始"),
    "ledger.running": ("Reading entries", "項目を読み取り中"),
    "ledger.progress": ("{done} of {of}", "{of} 件中 {done} 件"),
    "ledger.holds": ("The ledger holds.", "台帳が正しいことを確認しました。"),
    "ledger.holds_more": (
        "All {size} entries give the root that is signed.",
        "{size} 件の項目すべてが、署名されたルートハッシュと一致します。",
    ),
    "ledger.holds_kept": (
        "It continues the head of {size} entries that you gave.",
        "指定されたヘッド（{size} 件）から正しく続いています。",
    ),
    "ledger.broken": ("The ledger does not hold.", "台帳に不整合があります。"),
    "ledger.broken_more": (
        (
            "Stop using this room, keep a copy of the database as it is, and compare with the heads that "
            "the other members keep."
        ),
        (
            "このルームの使用を止め、データベースをそのまま複製して保管し、他のメンバーが保管しているヘッド"
            "と比べてください。"
        ),
    ),
    "ledger.failed": ("The ledger could not be read.", "台帳を読み取れませんでした。"),
    "ledger.duration": ("Seconds", "所要秒数"),
    "ledger.by": ("Started by", "開始した人"),
    "ledger.again": ("Verify again", "もう一度検証"),
    "ledger.not_shown": ("What this does not show", "この検証で分からないこと"),
    "ledger.not_shown_more": (
        (
            "Entries that were never written, and a past that was rewritten before anybody else saw a head "
            "of it. That is why the other members keep heads: see their page."
        ),
        (
            "一度も書かれなかった項目と、他の誰かがヘッドを見る前に書き換えられた過去は分かりません。そのた"
            "め他のメンバーがヘッドを保管します。ヘッドのページをご覧ください。"
        ),
    ),
    # heads
    "ledger.heads_about": (
        (
            "Every member keeps the newest head that it saw of each other member's ledger. A ledger may "
            "only grow: a newer head must come with a proof that it continues the one that is kept."
        ),
        (
            "各メンバーは、他のメンバーの台帳について最後に見たヘッドを保管します。台帳は伸びるだけです。新"
            "しいヘッドには、保管中のヘッドから続いているという証明が必要です。"
        ),
    ),
    "ledger.ask_heads": ("Ask all members now", "全メンバーに今すぐ確認"),
    "ledger.consistent": ("Consistent", "整合性"),
    "ledger.keeps": ("What it keeps of yours", "相手が保管する自分のヘッド"),
    "ledger.keeps_fits": ("{size} entries: your ledger continues it", "{size} 件: 台帳は続いています"),
    "ledger.keeps_bad": (
        "{size} entries: your ledger does not continue it",
        "{size} 件: 台帳が続いていません",
    ),
    "ledger.signature": ("Signature", "署名"),
    "ledger.signed_yes": ("holds", "有効"),
    "ledger.signed_no": ("does not hold", "無効"),
    "ledger.no_head": ("none seen yet", "まだありません"),
    "ledger.mine": ("this member", "このメンバー"),
    "ledger.not_asked": ("not asked yet", "未確認"),
    "ledger.asked_same": ("nothing new", "変化なし"),
    "ledger.asked_grown": (
        "grew from {before} to {after}, consistently",
        "{before} 件から {after} 件へ整合して増加",
    ),
    "ledger.asked_first": ("first head, {after} entries", "最初のヘッド（{after} 件）"),
    "ledger.asked_none": ("has no entries yet", "まだ項目がありません"),
    "ledger.asked_forked": ("does not continue the head that is kept", "保管中のヘッドから続いていません"),
    "ledger.asked_refused": ("gives no head", "ヘッドを出しません"),
    "ledger.asked_away": ("cannot be reached", "応答がありません"),
    "ledger.head_json": ("The head as JSON, to keep elsewhere", "ヘッドの JSON（別の場所での保管用）"),
    # proofs
    "ledger.proof_title": ("Check a proof", "証明を確認"),
    "ledger.proof_lead": (
        (
            "Paste an inclusion proof from any member of this room. It is checked with the members' keys "
            "of the agreement, on this node."
        ),
        (
            "このルームのメンバーから受け取った包含証明を貼り付けてください。このノードで、合意に含まれるメ"
            "ンバーの鍵を使って確認します。"
        ),
    ),
    "ledger.proof_json": ("Proof (JSON)", "証明 (JSON)"),
    "ledger.check": ("Check", "確認"),
    "ledger.proof_holds": ("Verified", "確認しました"),
    "ledger.proof_holds_more": (
        (
            "Entry {index} stands in the ledger of {member}, under the head of {size} entries signed at "
            "{time}."
        ),
        "項目 {index} は {member} の台帳にあり、{time} に署名された {size} 件のヘッドの下にあります。",
    ),
    "ledger.proof_own": (
        "The head is one of this node's own ledger, as it is now.",
        "このヘッドは、現在のこのノードの台帳のヘッドと整合しています。",
    ),
    "ledger.proof_same": (
        "The head is the one that this node keeps of that member.",
        "このヘッドは、このノードが保管しているそのメンバーのヘッドと同じです。",
    ),
    "ledger.proof_not": (
        (
            "This node keeps another size of that ledger, so it cannot compare the head by itself: ask for "
            "the newest heads to see that the ledger only grew."
        ),
        (
            "このノードは別の時点のヘッドを保管しているため、このヘッドとは直接比べられません。最新のヘッド"
            "を確認し、台帳が伸びただけであることを確かめてください。"
        ),
    ),
    "ledger.proof_bad": ("Not verified", "確認できません"),
    "ledger.proof_form": (
        "This is no inclusion proof: JSON of the format hitoku/ledger-proof/1 is expected.",
        "包含証明ではありません。形式 hitoku/ledger-proof/1 の JSON が必要です。",
    ),
    "ledger.proof_room": ("The proof is of another room.", "別のルームの証明です。"),
    "ledger.proof_member": (
        "The head names somebody who is no member of this room.",
        "ヘッドに書かれた名前は、このルームのメンバーではありません。",
    ),
    "ledger.proof_signature": (
        "The head is not signed by {member}: the signature is of another key, or the head was changed.",
        "ヘッドは {member} の署名ではありません。別の鍵による署名か、ヘッドが変更されています。",
    ),
    "ledger.proof_earlier": (
        (
            "The head is signed by a key that {member} had in an earlier version of the room: whoever has "
            "that key could sign it today. Ask for a proof under a newer head."
        ),
        (
            "ヘッドは、{member} がルームの以前の版で使っていた鍵で署名されています。その鍵を持つ者"
            "なら今でも署名できます。新しいヘッドの下の証明を求めてください。"
        ),
    ),
    "ledger.proof_path": (
        "The head is real, but the entry is not under it: entry, number or path were changed.",
        "ヘッドは本物ですが、項目はその下にありません。項目、番号、または経路が変更されています。",
    ),
    "ledger.proof_place": (
        "What is proved is no entry of this ledger at that place.",
        "証明されているのは、この台帳のその位置の項目ではありません。",
    ),
    "ledger.proof_forked": (
        (
            "{member} signed this head, and it is not the head that this node knows of the same ledger: "
            "two histories are signed. Keep this proof."
        ),
        (
            "{member} はこのヘッドに署名していますが、このノードが知る同じ台帳のヘッドと一致しません。二つ"
            "の履歴が署名されています。この証明を保管してください。"
        ),
    ),
    # export
    "ledger.export_title": ("Export for an auditor", "監査人向けの書き出し"),
    "ledger.export_about": (
        (
            "One file of JSON lines: first the signed head, then every entry exactly as it was hashed. "
            "Whoever has the room's file checks it on any machine, without this node."
        ),
        (
            "JSON Lines 形式の一つのファイルです。最初の行が署名済みヘッド、続いてハッシュされたままの各項"
            "目です。ルームのファイルがあれば、このノードなしでどの計算機でも確認できます。"
        ),
    ),
    "ledger.export_holds": (
        (
            "Entries have questions' SQL with its literals, names of members and tables, sizes and times. "
            "They have no rows of tables and no answers."
        ),
        (
            "項目には、質問の SQL（リテラルを含む）、メンバーとテーブルの名前、件数、日時が含まれます。テー"
            "ブルの行や回答は含まれません。"
        ),
    ),
    "ledger.download": ("Download JSON lines", "JSON Lines をダウンロード"),
    "ledger.export_check": ("How the auditor checks it", "監査人による確認方法"),
    # sentences
    "ledger.say_agreement": (
        "Version {version} of the agreement was accepted.",
        "合意の第{version}版を受け入れました。",
    ),
    "ledger.say_question": (
        "{asker} asked a question by {protection}; receivers: {receivers}.",
        "{asker} が {protection} で質問しました。受信者: {receivers}。",
    ),
    "ledger.say_question_again": (
        "{asker} asked again for an answer that was given before.",
        "{asker} が以前の回答を再び求めました。",
    ),
    "ledger.say_verdict": ("The rules allow it.", "ルール上、許可されました。"),
    "ledger.say_reservation": (
        "Its cost was reserved before any data was read; tables: {tables}.",
        "データを読む前に費用を確保しました。テーブル: {tables}。",
    ),
    "ledger.say_reservation_none": (
        "It was reserved before any data was read; it touches no table of this member.",
        "データを読む前に確保しました。このメンバーのテーブルは使われません。",
    ),
    "ledger.say_charge": ("Its cost was charged.", "費用を計上しました。"),
    "ledger.say_charge_failed": (
        "Its cost was charged although nothing was released: {reason}.",
        "回答は出ませんでしたが費用を計上しました: {reason}。",
    ),
    "ledger.say_release": ("The answer was released.", "回答を開示しました。"),
    "ledger.say_release_again": ("The same answer was given again.", "同じ回答を再び渡しました。"),
    "ledger.say_refusal": (
        "A question of {asker} was refused: {code}.",
        "{asker} の質問を拒否しました: {code}。",
    ),
    "ledger.say_deletion": (
        "This member's copy of table {table} was deleted: {reason}.",
        "テーブル {table} のこのメンバーの写しを削除しました: {reason}。",
    ),
    "ledger.say_deletion_run": (
        "The worker of run {run} stated that it deleted its keys.",
        "実行 {run} のワーカーが鍵の削除を表明しました。",
    ),
    "ledger.say_abort": (
        "Ended before any data was read: {reason}.",
        "データを読む前に終了しました: {reason}。",
    ),
    "ledger.say_appraisal": (
        "Evidence of what runs at {member}{host} was accepted.",
        "{member}{host} で動くものの証拠を受け入れました。",
    ),
    "ledger.say_appraisal_refused": (
        "Evidence of what runs at {member} was refused by {by}: {code}.",
        "{member} で動くものの証拠を {by} が拒否しました: {code}。",
    ),
    "ledger.say_key_release": (
        "Keys were released to the program that was appraised, at {host}.",
        "評価済みのプログラム（{host}）に鍵を渡しました。",
    ),
    "ledger.say_key_refusal": (
        "Keys were refused to {host}: {code}.",
        "{host} への鍵の引き渡しを拒否しました: {code}。",
    ),
    "ledger.say_revocation": (
        "The run's keys or sessions were ended by {by}, at {stage}.",
        "{by} が {stage} で実行の鍵またはセッションを終了しました。",
    ),
    "ledger.say_tombstone": (
        "The run's keys are destroyed, and never released again.",
        "実行の鍵を破棄しました。今後は渡しません。",
    ),
    "ledger.say_reference": (
        "A reference value of a program was put on record.",
        "プログラムの参照値を記録しました。",
    ),
    "ledger.say_reference_policy": (
        "This member's policy on evidence was set.",
        "証拠に関するこのメンバーのポリシーを設定しました。",
    ),
    "ledger.say_prediction": (
        "{asker} had {rows} rows scored by model {model}.",
        "{asker} の {rows} 行をモデル {model} で採点しました。",
    ),
    "ledger.say_prediction_asked": (
        "{rows} rows, encrypted, went to model {model} of {owner}.",
        "暗号化した {rows} 行を {owner} のモデル {model} に送りました。",
    ),
    "ledger.say_learning": (
        "Learning run {name} began; members: {members}.",
        "学習 {name} を開始しました。メンバー: {members}。",
    ),
    "ledger.say_learning_ended": ("A learning run ended.", "学習が終了しました。"),
    # kinds
    "ledger.kind_agreement": ("agreement", "合意"),
    "ledger.kind_question": ("question", "質問"),
    "ledger.kind_verdict": ("verdict", "判定"),
    "ledger.kind_reservation": ("reservation", "確保"),
    "ledger.kind_charge": ("charge", "計上"),
    "ledger.kind_release": ("release", "開示"),
    "ledger.kind_refusal": ("refusal", "拒否"),
    "ledger.kind_deletion": ("deletion", "削除"),
    "ledger.kind_abort": ("abort", "中止"),
    "ledger.kind_appraisal": ("appraisal", "評価"),
    "ledger.kind_key-release": ("key release", "鍵の引き渡し"),
    "ledger.kind_key-refusal": ("key refusal", "鍵の拒否"),
    "ledger.kind_revocation": ("revocation", "失効"),
    "ledger.kind_tombstone": ("tombstone", "破棄証"),
    "ledger.kind_reference": ("reference", "参照値"),
    "ledger.kind_prediction": ("prediction", "予測"),
    "ledger.kind_learning": ("learning", "学習"),
    "ledger.kind_restore": ("restore", "復元"),
    "ledger.kind_key-change": ("key change", "鍵の変更"),
    "ledger.say_restore": (
        "This member's node was restored from a backup.",
        "このメンバーのノードをバックアップから復元しました。",
    ),
    "ledger.say_restore_arrived": (
        "This member's node was moved without a loss, and goes on at its new place.",
        "このメンバーのノードは失われた記録なしに移され、新しい場所で動作しています。",
    ),
    "ledger.say_restore_accepted": (
        "{member}'s ledger was restored from a backup and lacks entries seen here; this was accepted.",
        "{member} の台帳はバックアップから復元され、ここで確認済みの項目が欠けていますが、受け入れました。",
    ),
    "ledger.say_key_change": ("This member's key was changed.", "このメンバーの鍵を変更しました。"),
}
