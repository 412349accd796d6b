# SPDX-License-Identifier: Apache-2.0
"""Words of the pages of proposals and of a room's members."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "drafts.title": ("Proposals", "提案"),
    "drafts.lead": (
        "A change is in force when all have signed whose data or duty it touches.",
        "変更は、データや役割に関わるすべてのメンバーが署名すると発効します。",
    ),
    "drafts.none": ("No proposal is open.", "現在、提案はありません。"),
    "drafts.over": ("Earlier", "過去の提案"),
    "drafts.of": ("Version {n}, proposed by {author}", "第{n}版、提案者: {author}"),
    "drafts.yours": ("Version {n}, your proposal", "第{n}版、自社の提案"),
    "drafts.by": ("made by {user} at {time}", "{user} が {time} に作成"),
    "drafts.came": ("came at {time}", "{time} に受信"),
    "drafts.state_draft": ("draft, not sent", "草案 (未送信)"),
    "drafts.state_open": ("open", "署名待ち"),
    "drafts.state_in_force": ("in force", "発効"),
    "drafts.state_withdrawn": ("taken back", "取り下げ"),
    "drafts.state_superseded": ("overtaken by another version", "別の版が先に発効"),
    "drafts.state_declined": ("declined here", "自社で拒否"),
    "drafts.why": ("Why", "理由"),
    "drafts.must_sign": ("Must sign", "署名が必要"),
    "drafts.everybody": (
        (
            "Everybody, because the share of the room's history that members may use alone is used up. "
            "When all have signed, each has a share again."
        ),
        (
            "メンバーが単独で使える履歴の割り当てを使い切ったため、全員の署名が必要です。全員が署名すると、"
            "割り当てが再び配られます。"
        ),
    ),
    "drafts.missing": ("Has still to sign", "未署名"),
    "drafts.all_signed": ("all have signed", "全員署名済み"),
    "drafts.you_signed": (
        "You signed this. It is in force when its author has all signatures.",
        "署名しました。提案者がすべての署名を集めると発効します。",
    ),
    "drafts.not_yours": (
        (
            "It needs no signature of yours. You can still decline it here, so that it holds up nothing "
            "of yours."
        ),
        "自社の署名は不要です。自社の提案の妨げになる場合は、ここで拒否できます。",
    ),
    "drafts.sign": ("Sign exactly this", "この内容に署名する"),
    "drafts.decline": ("Decline", "拒否する"),
    "drafts.reason": ("Reason, for {author}", "理由 ({author} に伝えられます)"),
    "drafts.send": ("Sign and send", "署名して送信"),
    "drafts.send_hint": (
        "Somebody here drafted this. It is sent to the others in this member's name.",
        "自社の担当者が作成した草案です。自社の名前で他のメンバーに送られます。",
    ),
    "drafts.withdraw": ("Take back", "取り下げる"),
    "drafts.withdraw_sure": ("Take this proposal back?", "この提案を取り下げますか？"),
    "drafts.settle": ("Put in force without waiting", "待たずに発効させる"),
    "drafts.settle_hint": (
        (
            "All signatures are there. Waiting keeps two versions from coming up at the same time; do "
            "this only if the change cannot wait."
        ),
        (
            "署名はそろっています。待つことで、2つの版が同時に生じるのを防ぎます。急ぐ場合にだけ使ってく"
            "ださい。"
        ),
    ),
    "drafts.settle_sure": ("Put it in force now?", "今すぐ発効させますか？"),
    "drafts.reach": ("The other nodes", "他のノード"),
    "drafts.heard_yes": ("has it", "受信済み"),
    "drafts.heard_no": ("not yet", "未受信"),
    "drafts.waits_since": (
        "waits for {name}, not reached since {time}",
        "{name} 待ち、{time} から接続不可",
    ),
    "drafts.taken": ("{whose}'s proposal is in the way there", "{whose} の提案が先にあります"),
    "drafts.bound": ("signed another draft of this version", "この版の別の草案に署名済み"),
    "drafts.declined_by": ("{name} declined", "{name} が拒否しました"),
    "drafts.no_reason": ("without a reason", "理由の記載なし"),
    "drafts.last_try": ("last try {time}", "最終試行 {time}"),
    "drafts.said_in_force": ("The new version is in force.", "新しい版が発効しました。"),
    "drafts.said_open": ("It was sent to the others.", "他のメンバーに送信しました。"),
    "drafts.said_draft": (
        "It is a draft; somebody with the ability sign sends it.",
        "草案として保存しました。署名権限を持つ人が送信します。",
    ),
    "drafts.said_signed": ("You signed it.", "署名しました。"),
    "drafts.said_declined": ("You declined it.", "拒否しました。"),
    "drafts.said_sent": ("It was signed and sent.", "署名して送信しました。"),
    "drafts.said_withdrawn": ("It was taken back.", "取り下げました。"),
    "drafts.said_settled": ("It is in force.", "発効しました。"),
    "drafts.edit": ("Change the terms", "条件の変更"),
    "drafts.edit_lead": (
        "This makes a proposal; the members whose data or duty it touches sign it.",
        "変更は提案になります。データや役割に関わるメンバーが署名します。",
    ),
    "drafts.edit_first": ("This changes the draft of the first version.", "最初の版の草案を変更します。"),
    "drafts.interval": ("Seconds between times at which answers leave", "回答を出す時刻の間隔 (秒)"),
    "drafts.interval_hint": (
        "0 sends answers at once; otherwise the time of an answer tells nothing finer.",
        "0 ではすぐに出します。それ以外では、回答の時刻から細かい情報が分からなくなります。",
    ),
    "drafts.round": ("Round counts to multiples of", "件数を丸める単位"),
    "drafts.round_hint": ("1 leaves counts as they are.", "1 では丸めません。"),
    "drafts.summary": ("Tell totals of what is withheld", "非表示にした部分の合計を示す"),
    "drafts.server": ("Server {n}", "サーバー {n}"),
    "drafts.servers_hint": (
        "Of shares only: three members with the ability compute; the first leads.",
        "shares のみ。compute 権限を持つ3つのメンバーを指定します。1番目が主導します。",
    ),
    "drafts.no_server": ("none", "なし"),
    "drafts.propose": ("Propose", "提案する"),
    "drafts.why_hint": (
        "The others read it beside the changes.",
        "変更点とともに他のメンバーに表示されます。",
    ),
    "drafts.crosstab": ("How people are recognised", "人の照合方法"),
    "drafts.crosstab_lead": (
        (
            "Two owners find the people both know by an identifier that each has in its table, say a "
            "phone number. Both must spell it alike before it is hashed."
        ),
        (
            "2つの所有者は、双方のテーブルにある識別子 (電話番号など) で共通の人を見つけます。ハッシュ化"
            "の前に、表記をそろえる必要があります。"
        ),
    ),
    "drafts.kind": ("Identifier {n}", "識別子 {n}"),
    "drafts.kind_hint": ("Its name, e.g. phone or mail.", "名前です。例: phone、mail"),
    "drafts.steps": ("Spelled alike by", "表記をそろえる方法"),
    "drafts.step_trim": ("no spaces at the ends", "前後の空白を除く"),
    "drafts.step_nfkc": ("one Unicode form (NFKC)", "Unicode正規化 (NFKC)"),
    "drafts.step_casefold": ("no difference of case", "大文字と小文字を区別しない"),
    "drafts.step_digits": ("digits only", "数字だけを残す"),
    "drafts.step_alnum": ("letters and digits only", "英数字だけを残す"),
    "drafts.step_e164": ("phone number with country (E.164)", "国番号付きの電話番号 (E.164)"),
    "drafts.code": ("Country's calling code", "国番号"),
    "drafts.code_hint": (
        "Needed for phone numbers with country (E.164), for those written without it: 81 is Japan's.",
        "国番号付きの電話番号 (E.164) を選ぶ場合に必要です。国番号なしの番号に補います。日本は 81 です。",
    ),
    "drafts.crosstab_tables": ("Tables that may be computed so", "対象のテーブル"),
    "drafts.crosstab_private": (
        "needs a custom rule with noise (differential privacy) first",
        "先にノイズ (差分プライバシー) 付きのカスタムルールが必要です",
    ),
    "drafts.crosstab_two": (
        "At least two tables are needed, of two owners.",
        "2つの所有者の、2つ以上のテーブルが必要です。",
    ),
    "members.title": ("Members", "メンバー"),
    "members.invite": ("Invite a company", "会社を招待"),
    "members.name": ("Member", "メンバー"),
    "members.address": ("Where its node is", "ノードのアドレス"),
    "members.address_hint": ("https://host:port", "https://ホスト:ポート"),
    "members.address_of": ("Address of {name}", "{name} のアドレス"),
    "members.save": ("Save", "保存"),
    "members.none": ("not known", "不明"),
    "members.remove": ("Remove", "除外"),
    "members.remove_sure": ("Propose a version without {name}?", "{name} を除いた版を提案しますか？"),
    "members.standing": ("How the nodes stand", "ノードの状態"),
    "members.check": ("Check now", "今すぐ確認"),
    "members.checking": ("Asking the nodes …", "ノードに確認しています…"),
    "members.reached": ("Reached", "接続"),
    "members.yes": ("yes", "可"),
    "members.no": ("no", "不可"),
    "members.runs": ("Runs", "ソフトウェア"),
    "members.serves": ("Serves", "提供中の版"),
    "members.other_version": ("another version", "別の版"),
    "members.ledger": ("Ledger entries", "台帳の件数"),
    "members.clock": ("Last entry, by its clock", "最新の記録 (相手の時計)"),
    "members.invitations": ("Invitations", "招待"),
    "members.no_invitations": ("Nobody is invited.", "招待はありません。"),
    "members.state_waiting": ("has not come yet", "まだ参加していません"),
    "members.state_offered": ("offers a key", "鍵の承認待ち"),
    "members.state_to_sign": ("has still to sign", "未署名"),
    "members.state_signed": ("signed", "署名済み"),
    "members.state_ended": ("ended", "期限切れ"),
    "members.until": ("Until", "期限"),
    "members.withdraw": ("Withdraw", "取り消す"),
    "members.withdraw_sure": ("End this invitation?", "この招待を取り消しますか？"),
    "members.offer": ("{name} offers a key", "{name} が鍵を提示しています"),
    "members.offer_more": (
        (
            "Let {name} read the groups from its screen to you, by phone or in person. Admit the key "
            "only if all are the same: who had the invitation first could offer a key, and nothing else "
            "tells whose it is."
        ),
        (
            "電話または対面で、{name} の画面に表示されている文字列を読み上げてもらってください。すべて一"
            "致した場合にのみ承認します。招待を先に手に入れた誰かが鍵を提示することもあり得るため、ほかに"
            "確かめる方法はありません。"
        ),
    ),
    "members.offer_tables": ("Brings the tables {names}", "提供するテーブル: {names}"),
    "members.offer_url": ("Its node will be at {url}", "ノードのアドレス: {url}"),
    "members.compared": ("We compared all groups: they are the same.", "すべて照合し、一致しました。"),
    "members.admit": ("Admit the key", "鍵を承認する"),
    "members.invite_title": ("Invite a company", "会社を招待"),
    "members.invite_lead": (
        (
            "You get a text to give to the company, over a way that you both trust. It lets one key be "
            "offered and the draft be read; it makes nobody a member."
        ),
        (
            "双方が信頼できる方法で会社に渡すテキストを作成します。できるのは、鍵を1つ提示して草案を読む"
            "ことだけです。それだけではメンバーになりません。"
        ),
    ),
    "members.invite_name": ("Its name in the room", "ルームでの名前"),
    "members.invite_name_hint": (
        "The name of its node: a-z, 0-9, _ and -. Ask them; the invitation fits that name only.",
        ("相手のノードの名前です (a-z、0-9、_、-)。相手に確認してください。招待はその名前でのみ使えます。"),
    ),
    "members.invite_hours": ("Holds for so many hours", "有効時間"),
    "members.invite_address": ("Address for who is invited", "招待された会社の接続先"),
    "members.invite_address_hint": (
        "https://host:port at which the company reaches this node's port for invitations.",
        "相手からこのノードの招待用ポートに接続できるアドレスです (https://ホスト:ポート)。",
    ),
    "members.invite_make": ("Make the invitation", "招待を作成する"),
    "members.takes_nobody": (
        (
            'This node takes nobody who is invited. Add invitations = "HOST:PORT" to its node.toml and '
            "start it again."
        ),
        (
            'このノードは招待を受け付けていません。node.toml に invitations = "HOST:PORT" を追加して再起'
            "動してください。"
        ),
    ),
    "members.invited": ("Invitation for {name}", "{name} への招待"),
    "members.invited_more": (
        "It is shown this once. Who reads it can use it, once, until {until}.",
        "表示されるのは今回だけです。これを読んだ人は {until} まで1回だけ使えます。",
    ),
    "members.copy": ("Copy", "コピー"),
    "members.copied": ("Copied", "コピーしました"),
    "members.then": (
        (
            "Then the company pastes it under Rooms, Join with an invitation. Its key appears on the "
            "page of members."
        ),
        ("会社はこれを「ルーム」の「招待で参加」に貼り付けます。その鍵がメンバーのページに表示されます。"),
    ),
    "members.said_admitted": (
        "The key was admitted. Now all sign.",
        "鍵を承認しました。次に全員が署名します。",
    ),
    "members.said_address": ("The address was saved.", "アドレスを保存しました。"),
    "members.said_withdrawn": ("The invitation was withdrawn.", "招待を取り消しました。"),
    "members.said_removed": ("The member was taken out of the draft.", "草案からメンバーを除きました。"),
    "members.to_agreement": ("To the agreement, to sign", "合意を確認して署名する"),
}
