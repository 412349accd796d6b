# SPDX-License-Identifier: Apache-2.0
"""Words of templates: questions with typed parameters that owners approve one by one."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "templates.title": ("Templates", "テンプレート"),
    "templates.lead": (
        (
            "Questions with blanks. A custom rule allows only the templates its owner approved, by their "
            "hashes: another text under the same name is not approved."
        ),
        (
            "空欄のある質問です。カスタムルールは、所有者が承認したテンプレートだけをハッシュで許可します。同じ名前でも"
            "文が変われば承認されません。"
        ),
    ),
    "templates.none": ("The room has no templates.", "このルームにテンプレートはありません。"),
    "templates.invalid": (
        "This template's SQL is no question.",
        "このテンプレートの SQL は質問として読めません。",
    ),
    "templates.hash": ("Hash", "ハッシュ"),
    "templates.parameters": ("Parameters", "パラメーター"),
    "templates.parameter": ("Parameter", "パラメーター"),
    "templates.default": ("default {value}", "既定値 {value}"),
    "templates.type": ("Type", "型"),
    "templates.tables": ("Tables", "テーブル"),
    "templates.approved": ("approved", "承認済み"),
    "templates.any": ("any question of named members", "指定メンバーの任意の質問"),
    "templates.waiting": ("not approved", "未承認"),
    "templates.other_rule": ("rule of another kind", "他の種類のルール"),
    "templates.by_owner": ("{table} of {owner}", "{owner} の {table}"),
    "templates.approve": ("Approve for {table}", "{table} に対して承認"),
    "templates.approve_hint": (
        "This proposes a version of the room in which your rule lists the template's hash.",
        "あなたのルールにテンプレートのハッシュを加えた、ルームの新しい版を提案します。",
    ),
    "templates.run": ("Fill in and check", "値を入れて確認"),
    "templates.run_title": ("Ask with this template", "このテンプレートで質問"),
    "templates.new": ("Propose a template", "テンプレートを提案"),
    "templates.new_lead": (
        "A template becomes part of the agreement when the members who must sign have signed it.",
        "必要なメンバー全員が署名すると、テンプレートは合意の一部になります。",
    ),
    "templates.name": ("Name", "名前"),
    "templates.name_hint": (
        "Lower case letters, digits and _, e.g. planes_by_maker",
        "英小文字・数字・_（例：planes_by_maker）",
    ),
    "templates.sql": ("Question (SQL) with :blanks", "質問（SQL、:名前 が空欄）"),
    "templates.sql_hint": (
        "Write :name where a value goes, e.g. WHERE f.year = :year",
        "値の位置に :名前 を書きます（例：WHERE f.year = :year）",
    ),
    "templates.parameters_hint": (
        "One a line: name, type and, if there is one, = default. E.g. year int = 2013",
        "1 行に 1 つ：名前、型、必要なら = 既定値（例：year int = 2013）",
    ),
    "templates.propose": ("Propose it", "提案する"),
    "templates.types": ("Types: {types}", "型：{types}"),
    "templates.proposed": (
        "Proposed. The members who must sign see it now.",
        "提案しました。署名が必要なメンバーに通知されます。",
    ),
    "templates.in_force": ("It is in force.", "発効しました。"),
    "templates.draft": ("To the proposal", "提案を見る"),
    "templates.true": ("true", "真"),
    "templates.false": ("false", "偽"),
}
