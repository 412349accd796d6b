# SPDX-License-Identifier: Apache-2.0
"""Words of attestation."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "attestation.title": ("Attestation", "構成証明"),
    "attestation.lead": (
        (
            "Which programs run where, since when, and why they are trusted or refused. Every owner "
            "decides for itself; there is no central verifier."
        ),
        (
            "どこで何のプログラムが、いつから動き、なぜ信頼または拒否されるかを示します。判断は各所有者が行"
            "い、中央の検証者はいません。"
        ),
    ),
    "attestation.none": (
        (
            "This room demands no attestation: its agreement has no such part, and no protection in use "
            "rests on evidence of what runs where."
        ),
        (
            "このルームは構成証明を求めていません。合意にその部分がなく、使用中の保護方式は実行環境の証拠に"
            "依存しません。"
        ),
    ),
    "attestation.running": ("What runs where", "実行中のもの"),
    "attestation.nothing": (
        "No evidence was appraised in this room yet.",
        "このルームではまだ証拠を評価していません。",
    ),
    "attestation.where": ("Where", "場所"),
    "attestation.program": ("Program", "プログラム"),
    "attestation.since": ("Since (UTC)", "いつから (UTC)"),
    "attestation.verdict": ("Verdict", "判定"),
    "attestation.why": ("Why", "理由"),
    "attestation.last": ("Last seen (UTC)", "最終確認 (UTC)"),
    "attestation.accepted": ("trusted", "信頼"),
    "attestation.refused": ("refused", "拒否"),
    "attestation.released": ("keys released", "鍵を引き渡し"),
    "attestation.kept": ("keys refused", "鍵を拒否"),
    "attestation.ended": ("ended", "終了"),
    "attestation.deleted": ("keys destroyed", "鍵を破棄"),
    "attestation.why_hardware": (
        "hardware vouches for it, and the members signed for this program",
        "ハードウェアが保証し、メンバーがこのプログラムに署名しています",
    ),
    "attestation.why_software": (
        "software only: no hardware vouches for it; this shows the flow and protects nothing",
        "ソフトウェアのみ。ハードウェアの保証はなく、手順を示すだけで保護にはなりません",
    ),
    "attestation.why_accepted": (
        "the members signed for this program",
        "メンバーがこのプログラムに署名しています",
    ),
    "attestation.unknown": ("not named in the reference values", "参照値に名前がありません"),
    "attestation.demands": ("What the room demands", "ルームの要件"),
    "attestation.accept": ("Kinds of evidence that count", "有効な証拠の種類"),
    "attestation.signers": ("Owners who must sign for a program", "プログラムへの署名が必要な所有者"),
    "attestation.all_owners": ("all owners of tables", "テーブルの全所有者"),
    "attestation.software": ("Evidence without hardware", "ハードウェアの保証がない証拠"),
    "attestation.software_yes": ("accepted, and said so in every answer", "受け入れ、すべての回答に明記"),
    "attestation.software_no": ("refused", "拒否"),
    "attestation.hardware": ("Pieces of hardware", "ハードウェアの限定"),
    "attestation.any": ("any", "限定なし"),
    "attestation.listed": ("{count} listed", "{count} 台を列挙"),
    "attestation.authorities": ("Authorities", "認証機関"),
    "attestation.advisories": ("Accepted open advisories", "許容する未対応のアドバイザリ"),
    "attestation.no_advisories": ("none", "なし"),
    "attestation.crosstab": ("Private cross statistics", "秘匿クロス集計"),
    "attestation.crosstab_yes": (
        "only after both nodes attested each other",
        "両ノードの相互構成証明の後に限る",
    ),
    "attestation.crosstab_no": ("without attestation", "構成証明を求めない"),
    "attestation.minutes": ("An appraisal holds (minutes)", "評価の有効時間（分）"),
    "attestation.programs": ("Accepted programs (reference values)", "受け入れるプログラム（参照値）"),
    "attestation.no_programs": (
        (
            "No program is signed for yet: nothing can be accepted. `hitoku attest reference add` makes a "
            "statement, `sign` signs it."
        ),
        (
            "署名されたプログラムはまだなく、何も受け入れられません。`hitoku attest reference add` で作成し"
            "、`sign` で署名します。"
        ),
    ),
    "attestation.version": ("Version", "バージョン"),
    "attestation.kind": ("Kind", "種類"),
    "attestation.purpose": ("As", "用途"),
    "attestation.signed_by": ("Signed by", "署名者"),
    "attestation.lacking": ("still to sign", "署名待ち"),
    "attestation.until": ("Until", "期限"),
    "attestation.state": ("State", "状態"),
    "attestation.state_force": ("in force", "有効"),
    "attestation.state_revoked": ("revoked", "失効"),
    "attestation.state_past": ("past its time", "期限切れ"),
    "attestation.state_unsigned": ("not signed by enough", "署名不足"),
    "attestation.measurements": ("Measurements", "測定値"),
    "attestation.policy": ("This member's policy", "このメンバーのポリシー"),
    "attestation.policy_none": (
        (
            "None of its own: only what always holds (no debugging, the vendor's word that the platform is "
            "up to date, a program that the members signed for, a hardware root unless the room says "
            "otherwise)."
        ),
        (
            "独自の条件はありません。常に適用される条件だけです（デバッグ不可、プラットフォームが最新である"
            "というベンダーの保証、メンバーが署名したプログラム、ルームが別に定めない限りハードウェアの信頼"
            "の起点）。"
        ),
    ),
    "attestation.policy_about": (
        "It can only refuse more. All of this must be true:",
        "さらに拒否することだけができます。次のすべてが真である必要があります。",
    ),
    "attestation.problem": ("Registry or policy cannot be used", "参照値またはポリシーを使用できません"),
    "attestation.decisions": ("Decisions on record", "判断の記録"),
    "attestation.time": ("Time (UTC)", "日時 (UTC)"),
    "attestation.entry": ("Entry", "項目"),
    "attestation.by": ("Decided by", "判断者"),
    "attestation.evidence": ("Evidence", "証拠"),
    "attestation.show": ("show", "表示"),
    "attestation.check": ("Check evidence", "証拠を確認"),
    "attestation.check_about": (
        (
            "Paste or upload evidence from anywhere. It is verified on this node without any network: "
            "signature, the vendor's chain, firmware level; then judged by this room's agreement, the "
            "reference values and this member's policy."
        ),
        (
            "任意の証拠を貼り付けるか、アップロードしてください。ネットワークを使わずにこのノードで、署名、"
            "ベンダーの証明書チェーン、ファームウェアの水準を検証し、ルームの合意、参照値、このメンバーのポ"
            "リシーで判定します。"
        ),
    ),
    "attestation.check_text": (
        "Evidence: hexadecimal, base64 or JSON",
        "証拠（16 進数、base64、または JSON）",
    ),
    "attestation.check_file": ("or a file", "またはファイル"),
    "attestation.check_more": (
        "Endorsements: certificates, collateral, logs (optional)",
        "補足資料（証明書、コラテラル、ログなど。任意）",
    ),
    "attestation.check_empty": (
        "Paste evidence or choose a file.",
        "証拠を貼り付けるか、ファイルを選んでください。",
    ),
    "attestation.check_start": ("Verify", "検証"),
    "attestation.would": (
        "It would be trusted here, as far as a file alone can show.",
        "ファイルだけで確認できる範囲では、ここで信頼されます。",
    ),
    "attestation.would_not": ("It is refused here.", "ここでは拒否されます。"),
    "attestation.step": ("Check", "確認内容"),
    "attestation.outcome": ("Outcome", "結果"),
    "attestation.good": ("holds", "適合"),
    "attestation.bad": ("fails", "不適合"),
    "attestation.open": ("not from a file", "ファイルだけでは不明"),
    "attestation.step_form": ("The bytes are evidence of a known kind", "既知の種類の証拠である"),
    "attestation.step_vendor": (
        "Signature, chain to the vendor's root, no debugging",
        "署名、ベンダーのルート証明書までのチェーン、デバッグなし",
    ),
    "attestation.step_room": ("The room accepts this kind", "ルームがこの種類を受け入れる"),
    "attestation.step_hardware": ("Hardware vouches for it", "ハードウェアが保証する"),
    "attestation.step_tcb": (
        "Firmware and microcode are up to date",
        "ファームウェアとマイクロコードが最新",
    ),
    "attestation.step_list": (
        "This piece of hardware is on the room's list",
        "ルームの一覧にあるハードウェアである",
    ),
    "attestation.step_program": (
        "The members signed for this program",
        "メンバーがこのプログラムに署名している",
    ),
    "attestation.step_policy": ("This member's policy allows it", "このメンバーのポリシーが許可する"),
    "attestation.step_binding": (
        "It answers a challenge of this room and runs now",
        "このルームのチャレンジに応答し、現在動作している",
    ),
    "attestation.binding_why": (
        (
            "A file can be old or another machine's. Only a node that sends its own challenge knows; that "
            "happens before keys are released."
        ),
        (
            "ファイルは古いものや別の機器のものかもしれません。それが分かるのは、自分でチャレンジを送ったノード"
            "だけです。チャレンジは鍵を渡す前に送られます。"
        ),
    ),
    "attestation.claims": ("Verified claims", "検証済みの主張"),
    "attestation.fields": ("Fields, not verified", "フィールド（未検証）"),
    "attestation.name": ("Name", "名前"),
    "attestation.value": ("Value", "値"),
    "attestation.not_checked": ("What the verifier cannot check", "検証器が確認できないこと"),
    "attestation.condition": ("Condition", "条件"),
    "attestation.true": ("true", "真"),
    "attestation.false": ("false", "偽"),
    "attestation.unknown_truth": ("unknown", "不明"),
    "attestation.evidence_title": ("Evidence on record", "記録された証拠"),
    "attestation.evidence_about": (
        "As it was kept when this node decided. Paste it into the check to verify it again.",
        "このノードが判断したときに保管したものです。確認ページに貼り付けると再検証できます。",
    ),
    "attestation.result": ("This member's signed result (EAR)", "このメンバーの署名済み結果 (EAR)"),
    "attestation.raw": ("The evidence as JSON", "証拠の JSON"),
    "attestation.deletion": ("Check a deletion certificate", "削除証明書を確認"),
    "attestation.deletion_about": (
        (
            "The file that the host of a run puts together at its end: what the program stated, and every "
            "owner's signed word that its keys are destroyed. It is read again here, all of it."
        ),
        (
            "実行の終わりにホストがまとめるファイルです。プログラムの表明と、各所有者が鍵を破棄したという署"
            "名付きの言明が含まれます。ここで全体を確認し直します。"
        ),
    ),
    "attestation.certificate": ("Certificate (JSON)", "証明書 (JSON)"),
    "attestation.deletion_holds": ("The certificate holds.", "証明書が正しいことを確認しました。"),
    "attestation.deletion_bad": ("It does not hold", "正しくありません"),
    "attestation.deletion_shows": (
        (
            "The program that every owner measured said that it overwrote the keys and kept nothing; and "
            "every owner signed, and has in its ledger, that its copies are destroyed and never released "
            "again."
        ),
        (
            "各所有者が測定したプログラムは、鍵を上書きし何も残していないと表明しました。各所有者は、写しを"
            "破棄し二度と渡さないことに署名し、台帳に記録しています。"
        ),
    ),
    "attestation.deletion_not": (
        (
            "It does not show that no copy exists elsewhere: nothing can. That rests on the measured "
            "program having no other way out, and on the machine that ran it."
        ),
        (
            "他に写しが存在しないことは示しません。それを証明できるものはありません。測定されたプログラムに"
            "他の出口がないことと、実行した機器に依存します。"
        ),
    ),
    "attestation.deletion_software": (
        "Some of the evidence is software's: whoever ran the machine could have made it of any program.",
        (
            "一部の証拠はソフトウェアのものです。機器の運用者は任意のプログラムについて作成できた可能性があ"
            "ります。"
        ),
    ),
    "attestation.host": ("Ran at", "実行場所"),
    "attestation.run": ("Run", "実行 ID"),
    "attestation.tables": ("Tables", "テーブル"),
    "attestation.appraised": ("Appraised", "評価日時"),
    "attestation.refuses_since": ("Refuses since", "拒否の開始"),
    "attestation.in_ledger": ("Entry of the ledger", "台帳の項目"),
    "attestation.back": ("To attestation", "構成証明へ戻る"),
}
