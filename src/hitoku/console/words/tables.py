# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501, ISC004 (sentences)
"""Words of the pages of tables."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "tables.title": ("Tables", "テーブル"),
    "tables.lead": (
        "What each member contributes. Rows stay at their owner's node; this page shows what was agreed on.",
        "各メンバーが提供するテーブルです。行は所有者のノードから出ません。このページには合意した内容だけが表示されます。",
    ),
    "tables.mine": ("Tables of this member", "このメンバーのテーブル"),
    "tables.others": ("Tables of other members", "他のメンバーのテーブル"),
    "tables.none_mine": (
        "This member contributes no table to the room.",
        "このメンバーはルームにテーブルを提供していません。",
    ),
    "tables.none_others": (
        "No other member contributes a table yet.",
        "他のメンバーはまだテーブルを提供していません。",
    ),
    "tables.new": ("Add a table", "テーブルを追加"),
    "tables.new_lead": (
        "Choose where the rows are. The table stays on this node; the room learns its columns and rule alone.",
        "行の置き場所を選びます。テーブルはこのノードに残り、ルームには列とルールだけが知らされます。",
    ),
    "tables.name": ("Table", "テーブル"),
    "tables.owner": ("Owner", "所有者"),
    "tables.columns": ("Columns", "列"),
    "tables.rule": ("Rule", "ルール"),
    "tables.source": ("Source", "データの場所"),
    "tables.entered": ("entered", "登録済み"),
    "tables.missing": ("no source", "場所が未登録"),
    "tables.no_rule": ("no rule", "ルールなし"),
    "tables.no_rule_means": (
        "Without a rule every question about this table is refused.",
        "ルールがないテーブルへの質問は、すべて拒否されます。",
    ),
    "tables.found": ("Tables on this node", "このノードにあるテーブル"),
    "tables.found_none": (
        "There is no CSV or Parquet file in the allowed folders. The setting sources under [console] in node.toml names them.",
        "許可されたフォルダーに CSV や Parquet のファイルがありません。フォルダーは node.toml の [console] の sources で指定します。",
    ),
    "tables.file": ("File", "ファイル"),
    "tables.kind": ("Kind", "種類"),
    "tables.kind_csv": ("CSV", "CSV"),
    "tables.kind_parquet": ("Parquet", "Parquet"),
    "tables.kind_folder": ("Folder of Parquet", "Parquet のフォルダー"),
    "tables.kind_duckdb": ("DuckDB: name its table below", "DuckDB（テーブル名は下で指定）"),
    "tables.size": ("Size", "サイズ"),
    "tables.upload": ("Upload a file", "ファイルをアップロード"),
    "tables.upload_hint": (
        "CSV with a header row in UTF-8, or Parquet; {most} at most. It is read to its end, and kept only if it is whole.",
        "見出し行のある UTF-8 の CSV、または Parquet（最大 {most}）。最後まで読み、正しいファイルだけを保存します。",
    ),
    "tables.upload_wrong": ("The file was not kept", "ファイルは保存されませんでした"),
    "tables.upload_go": ("Upload", "アップロード"),
    "tables.uri": ("Name a source", "場所を入力"),
    "tables.uri_label": ("Path or URI", "パスまたは URI"),
    "tables.uri_hint": (
        "A path in an allowed folder, duckdb:data/people.duckdb?table=people, or a PostgreSQL database that node.toml names.",
        "許可されたフォルダー内のパス、duckdb:data/people.duckdb?table=people、または node.toml に書かれた PostgreSQL データベース。",
    ),
    "tables.uri_servers": ("Databases that may be used:", "使えるデータベース："),
    "tables.look": ("Look into it", "内容を確認"),
    "tables.declare": ("Declare the table", "テーブルの宣言"),
    "tables.declare_lead": (
        "Say which columns the room may use, and what each is where it leaves this node.",
        "ルームで使う列と、このノードから出るときの列の形を決めます。",
    ),
    "tables.rows": ("Rows", "行数"),
    "tables.rows_more": ("more than {rows}", "{rows} 以上"),
    "tables.profile_hint": (
        "NULLs and distinct values are counted for you alone; no other member is told any of it.",
        "NULL と異なる値の数は、あなただけに表示されます。他のメンバーには知らされません。",
    ),
    "tables.profile_part": (
        "Counted in the first {rows} rows.",
        "最初の {rows} 行で数えました。",
    ),
    "tables.room_name": ("Name in the room", "ルームでの名前"),
    "tables.room_name_hint": (
        "a-z, 0-9, _ and -, beginning with a letter.",
        "a-z、0-9、_、- を使い、英字で始めます。",
    ),
    "tables.columns_caption": (
        "Each column of the source. A column that is not taken never leaves this node.",
        "元データの列です。選ばない列がこのノードから出ることはありません。",
    ),
    "tables.take": ("Take", "使う"),
    "tables.source_column": ("In the source", "元の列名"),
    "tables.nulls": ("NULLs", "NULL"),
    "tables.distinct": ("Distinct", "異なる値"),
    "tables.room_column": ("Column", "列"),
    "tables.type": ("Type", "型"),
    "tables.precision": ("Digits in all", "全体の桁数"),
    "tables.scale": ("Digits after the point", "小数点以下の桁数"),
    "tables.protection": ("Treatment", "扱い"),
    "tables.nullable": ("May be NULL", "NULL 可"),
    "tables.protection_fingerprint": ("fingerprint", "fingerprint"),
    "tables.protection_sealed": ("sealed", "sealed"),
    "tables.protection_cleartext": ("cleartext", "cleartext"),
    "tables.protection_fingerprint_means": (
        "A keyed hash. Rows can be joined by it and distinct values counted; the value itself is never seen.",
        "鍵付きハッシュです。結合と異なる値の数の計算に使えますが、値そのものは見えません。",
    ),
    "tables.protection_sealed_means": (
        "Encrypted. It can be listed and opened by who has the room's secret; nothing can be computed with it.",
        "暗号化されます。一覧に出し、ルームの秘密を持つ人が開けますが、計算には使えません。",
    ),
    "tables.protection_cleartext_means": (
        "As it is. It can be grouped, compared and summed. With tokens the host sees it; crosstab computes where it is.",
        "そのままの値です。グループ化、比較、合計ができます。tokens ではホストに見えます。crosstab では所有者のノードで計算します。",
    ),
    "tables.no_cleartext": (
        "This room allows no cleartext columns: its settings say so.",
        "このルームの設定では、cleartext の列は許可されていません。",
    ),
    "tables.person": ("Identifiers of persons", "個人の識別子"),
    "tables.person_hint": (
        "For private cross statistics: the column that holds each kind of identifier.",
        "秘匿クロス集計のために、識別子の種類ごとに列を選びます。",
    ),
    "tables.person_none": ("the column of that name, or none", "同じ名前の列、またはなし"),
    "tables.declare_go": ("Declare and enter", "宣言して登録"),
    "tables.declare_hint": (
        "The room gets a new version with this table. A new table of yours needs your signature alone; no question is "
        "allowed until it has a rule.",
        "このテーブルを加えた新しい版をルームに提案します。自分の新しいテーブルに必要なのは自分の署名だけです。"
        "ルールができるまで、質問は許可されません。",
    ),
    "tables.sample": ("Show the first 5 rows", "最初の5行を表示"),
    "tables.sample_title": ("First rows", "最初の行"),
    "tables.sample_hint": (
        "You asked for these values; they are shown to you alone and kept nowhere.",
        "あなたの操作で表示しています。他の人には見えず、どこにも保存されません。",
    ),
    "tables.cancel": ("Cancel", "キャンセル"),
    "tables.problem": ("This cannot be done", "実行できません"),
    "tables.owned_by": ("Owned by {owner}.", "所有者：{owner}"),
    "tables.yes": ("yes", "はい"),
    "tables.no": ("no", "いいえ"),
    "tables.rule_text": ("The rule as it was signed", "署名されたルール"),
    "tables.windows": ("Questions allowed", "許可される質問の数"),
    "tables.edit_rule": ("Edit the rule", "ルールを編集"),
    "tables.change_source": ("Change source or columns", "場所や列を変更"),
    "tables.leave": ("Forget the source", "場所の登録を解除"),
    "tables.leave_sure": (
        "Questions about this table will fail until a source is entered again. Go on?",
        "場所を登録し直すまで、このテーブルへの質問は失敗します。続けますか？",
    ),
    "tables.enter": ("Enter its source", "場所を登録"),
    "tables.missing_means": (
        "The room declares this table, but this node does not know where its rows are, so no question can be answered.",
        "ルームには宣言されていますが、行の場所がこのノードに登録されていないため、質問に回答できません。",
    ),
    "tables.not_yet": (
        "This table is in a proposed version of the room, which is not in force yet. Enter its source when it is.",
        "このテーブルは提案中の版にあり、まだ発効していません。発効してから場所を登録してください。",
    ),
    "tables.remove": ("Remove from the room", "ルームから削除"),
    "tables.remove_hint": (
        "Proposes a version without this table. The file stays where it is; the host deletes its encrypted copy.",
        "このテーブルを除いた版を提案します。ファイルは残り、ホストは暗号化された写しを削除します。",
    ),
    "tables.remove_sure": ("Remove this table from the room?", "このテーブルをルームから削除しますか？"),
    "tables.remove_go": ("Remove the table", "テーブルを削除"),
    "tables.check": ("Check", "検査"),
    "tables.check_hint": (
        "Reads the whole table and counts what the room would make of it. No other member is told any of it.",
        "テーブル全体を読み、ルームでどう扱われるかを数えます。結果は他のメンバーに知らされません。",
    ),
    "tables.check_running": ("Reading the table", "テーブルを読んでいます"),
    "tables.check_again": ("See how far it is", "進み具合を見る"),
    "tables.check_go": ("Check the whole table", "全体を検査"),
    "tables.check_nothing": ("Nothing was found to check.", "検査するものがありませんでした。"),
    "tables.check_private": (
        "These figures are for you alone.",
        "これらの数はあなただけに表示されます。",
    ),
    "tables.people": ("People", "人数"),
    "tables.duplicates": ("Further rows of these people, merged", "同じ人の追加の行（統合）"),
    "tables.unusable": ("Rows without a usable identifier, left out", "使える識別子のない行（除外）"),
    "tables.outside": (
        "{rows} rows outside its public values: left out where it is grouped by",
        "公開値以外の行 {rows} 件：グループ化では除外されます",
    ),
    "tables.outside_kept": (
        "{rows} rows outside its public values: counted as `other`",
        "公開値以外の行 {rows} 件：other として数えます",
    ),
    "tables.no_number": (
        "{rows} rows without a number: they count as 0",
        "数値のない行 {rows} 件：0 として数えます",
    ),
    "tables.shares": ("For secret shares", "秘密分散"),
    "tables.done_in_force": (
        "Done: the new version of the room is in force.",
        "完了：新しい版が発効しました。",
    ),
    "tables.done_open": (
        "Proposed: the new version waits for other members' signatures.",
        "提案しました。他のメンバーの署名を待っています。",
    ),
    "tables.done_draft": (
        "Kept as a draft: it waits for who may sign in this member's name, or for the room's first version.",
        "草案として保存しました。署名できる人の操作、または最初の版の発効を待っています。",
    ),
    "tables.to_draft": ("See the draft", "草案を見る"),
    "tables.done_entered": ("The source is entered.", "場所を登録しました。"),
    "tables.done_left": (
        "The source is no longer entered; the file itself was not touched.",
        "場所の登録を解除しました。ファイルはそのままです。",
    ),
    "tables.done_kept": ("The draft is kept.", "下書きを保存しました。"),
}
