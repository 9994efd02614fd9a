"""What the page says, in both languages; the engine's own sentences (notes, reasons, evidence) are English alone.

A phrase may have places to fill, such as `{n}`. An English one that counts has two forms, `one|many`, chosen by `n`.
"""

from __future__ import annotations

from typing import Literal

from jiebang.report.reading import Wording

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

PHRASES = {
    "report": Wording("Dataset quality report", "数据集质量报告"),
    "skip": Wording("Skip to the report", "跳到报告正文"),
    "language": Wording("Language", "语言"),
    "nothing_read": Wording("Nothing that could be read", "没有可读取的内容"),
    "and_more": Wording("{name} and {n} more|{name} and {n} more", "{name} 等 {all} 个文件"),
    "title": Wording("{total} of 100, grade {grade}", "总分 {total}，等级 {grade}"),
    "title_not_judged": Wording("not judged", "未评"),
    "records": Wording("record|records", "条记录"),
    "files": Wording("file, {size}|files, {size}", "个文件，{size}"),
    "rubric": Wording("rubric", "评价规则"),
    "under_rubric": Wording("Rubric", "评价规则"),
    "result": Wording("Result", "结果"),
    "grade_is": Wording("Grade {grade}", "等级 {grade}"),
    "of_100": Wording("of 100", "分（满分 100）"),
    "refused": Wording("Refused at the gate", "未通过门槛"),
    "refused_verdict": Wording(
        "Not judged: the dataset did not pass {gates}. Nothing was measured.",
        "未评：数据集没有通过 {gates}，未作任何测量。",
    ),
    "nothing_measured": Wording(
        "Nothing could be measured yet: declare what is known about the data.", "尚无可测指标：请先声明已知的数据情况。"
    ),
    "nothing_to_mend": Wording(
        "Nothing to mend: every dimension that could be measured is whole.", "无需改进：可测的各维度均为满分。"
    ),
    "whole_in": Wording("Whole in {names}. ", "{names}满分。"),
    "held_back": Wording(
        "What holds it back most is {name}, at {value} of 100.", "最需要改进的是{name}，{value} 分（满分 100）。"
    ),
    "capped": Wording(
        " The total alone would earn {letter}, but no dimension may lie that low: the grade is {grade}.",
        "仅看总分可得 {grade_alone}，但有维度过低，故等级为 {grade}。",
    ),
    "provisional": Wording("Provisional", "暂定"),
    "provisional_why": Wording(
        "Only {share} of what the rubric weighs could be judged; from 90 % on the grade stands.",
        "规则权重中只有 {share} 可以评定；达到 90 % 后等级才成立。",
    ),
    "to_declare": Wording("{n} thing to declare or add|{n} things to declare or add", "可补充声明或内容 {n} 项"),
    "then_measured": Wording(", so that {id} ({name}) is measured.", "，即可测 {id}（{name}）。"),
    "radar": Wording("Dimensions from 0 to 100", "各维度得分（0 至 100）"),
    "radar_before": Wording("The dashed shape is the earlier version.", "虚线为较早版本。"),
    "fixes": Wording("What to fix first", "改进建议"),
    "points": Wording("points", "分"),
    "fixes_note": Wording(
        "Each gain is what the total would rise by if this alone reached its target and nothing else changed.",
        "每项增益为仅此一项达到目标、其余不变时总分的提高。",
    ),
    "more_fixes": Wording("{n} smaller gain|{n} smaller gains", "其余 {n} 项较小的增益"),
    "gates": Wording("Gates", "门槛"),
    "passed": Wording("passed", "通过"),
    "gate_failed": Wording("failed", "未通过"),
    "to_know": Wording("To know", "提示"),
    "measures": Wording("Measures", "指标"),
    "weight": Wording("weight {weight}", "权重 {weight}"),
    "bar": Wording(
        "{score} of 100 between floor {floor} and target {target}", "得 {score} 分，下限 {floor}，目标 {target}"
    ),
    "floor": Wording("floor {bound}", "下限 {bound}"),
    "target": Wording("target {bound}", "目标 {bound}"),
    "measures_note": Wording(
        "A bar runs from the rubric's floor on the left, where a measure begins to count, to its target on the right,"
        " where it counts in full.",
        "横条左端为规则的下限（开始计分），右端为目标（满分）。",
    ),
    "by_table": Wording("Table by table", "逐表结果"),
    "places": Wording("Where: {n} place|Where: {n} places", "位置：{n} 处"),
    "places_left": Wording("More places are on the screen and in the JSON report.", "其余位置见屏幕版和 JSON 报告。"),
    "table": Wording("Table", "表"),
    "status": Wording("Status", "状态"),
    "value": Wording("Value", "值"),
    "counts": Wording("Counts", "计数"),
    "file": Wording("File", "文件"),
    "record": Wording("Record", "记录"),
    "column": Wording("Column", "列"),
    "note": Wording("Note", "说明"),
    "tables": Wording("Tables", "数据表"),
    "not_handed_in": Wording("not handed in", "未提交"),
    "records_read": Wording("{read} of {attempted} records read", "读取 {attempted} 条记录中的 {read} 条"),
    "columns": Wording("{n} column|{n} columns", "{n} 列"),
    "from_files": Wording("from {n} file|from {n} files", "来自 {n} 个文件"),
    "type": Wording("Type", "类型"),
    "missing": Wording("Missing", "缺失"),
    "filled": Wording("Filled", "完整"),
    "filled_share": Wording("{share} % filled", "完整 {share} %"),
    "no_name": Wording("(no name)", "（无名）"),
    "absent": Wording("absent", "缺列"),
    "inferred": Wording("(inferred)", "（推断）"),
    "more_columns": Wording(
        "{n} more column is in the JSON report.|{n} more columns are in the JSON report.", "另有 {n} 列见 JSON 报告。"
    ),
    "distribution": Wording("Distribution", "分布"),
    "distribution_note": Wording(
        "Distributions are exact counts. No value of fewer than {least} records is named, and no column is drawn in"
        " which personal data or secrets were found or whose name tells of a person.",
        "分布均为精确计数。少于 {least} 条记录的值不列出；发现个人信息或密钥的列、列名指向个人的列不绘制。",
    ),
    "withheld": Wording("not drawn: it may tell of persons", "不绘制：可能涉及个人"),
    "other_values": Wording("{n} other value|{n} other values", "其他 {n} 个值"),
    "others": Wording("others", "其余"),
    "characters": Wording("characters in a cell", "单元格字符数"),
    "one_length": Wording("{n} character in every cell|{n} characters in every cell", "每个单元格 {n} 个字符"),
    "from_to": Wording("from {low} to {high}", "从 {low} 到 {high}"),
    "most_between": Wording(
        "most, {count} of {cells}, from {low} to {high}", "最多的一段：{low} 至 {high}，{cells} 中有 {count}"
    ),
    "below": Wording("{n} below|{n} below", "低于此 {n}"),
    "above": Wording("{n} above|{n} above", "高于此 {n}"),
    "files_title": Wording("Files", "文件"),
    "path": Wording("Path", "路径"),
    "size": Wording("Size", "大小"),
    "all_files": Wording("All {n} files|All {n} files", "全部 {n} 个文件"),
    "more_files": Wording(
        "{n} more file is in the JSON report.|{n} more files are in the JSON report.", "另有 {n} 个文件见 JSON 报告。"
    ),
    "compared": Wording("Since the earlier version", "与较早版本相比"),
    "total": Wording("Total", "总分"),
    "same": Wording("Every measure is as it was.", "各项指标均无变化。"),
    "gains_and_losses": Wording("Gains and losses, the greatest first", "增减排序（由大到小）"),
    "measure": Wording("Measure", "指标"),
    "before": Wording("Before", "之前"),
    "after": Wording("Now", "现在"),
    "score_change": Wording("Score", "得分变化"),
    "total_change": Wording("In the total", "对总分的影响"),
    "unchanged": Wording(
        "{n} other measure is as it was.|{n} other measures are as they were.", "其余 {n} 项指标无变化。"
    ),
    "other_rubric": Wording(
        "The earlier version was judged under another rubric ({rubric}), so the totals cannot be held side by side.",
        "较早版本按另一规则（{rubric}）评定，总分不可直接比较。",
    ),
    "earlier_refused": Wording(
        "The earlier version was not judged: it did not come through the gates, or nothing could be measured.",
        "较早版本未评：未通过门槛，或没有可测的指标。",
    ),
    "same_bytes": Wording("Both versions have the same bytes.", "两个版本的内容完全相同。"),
    "shares_note": Wording(
        "The changes in the total add up to its whole change; a measure that newly counts also shifts the weight of the"
        " others in its dimension.",
        "各项影响之和等于总分变化；新计入的指标也会改变同维度其他指标的权重。",
    ),
    "dataset": Wording("Dataset", "数据集"),
    "declaration": Wording("Declaration", "声明"),
    "engine": Wording("Engine", "引擎"),
    "repeat": Wording(
        "The same bytes give the same numbers on any machine: `jiebang score` repeats this report.",
        "相同的字节在任何机器上得到相同的数字：`jiebang score` 可重现本报告。",
    ),
    "not_counted": Wording("Not counted", "未计入"),
}

TYPES = {
    "integer": Wording("integer", "整数"),
    "decimal": Wording("decimal", "小数"),
    "boolean": Wording("boolean", "布尔"),
    "date": Wording("date", "日期"),
    "timestamp": Wording("timestamp", "时间"),
    "text": Wording("text", "文本"),
}

KINDS = {
    "csv": Wording("CSV", "CSV"),
    "jsonl": Wording("JSON Lines", "JSON Lines"),
    "json": Wording("JSON", "JSON"),
    "parquet": Wording("Parquet", "Parquet"),
    "other": Wording("other", "其他"),
}

TO_DECLARE = {
    "SCL-1": "声明所需记录数 `records`",
    "KEY-1": "声明主键 `key`",
    "REF-1": "声明外键 `foreign_keys`",
    "BAL-1": "声明标签列 `label`",
    "DOM-1": "声明取值范围 `domains`",
    "COM-4": "声明标签列 `label`",
    "COM-5": "声明时间间隔 `grid`",
    "RUL-1": "声明业务规则 `rules`",
    "LAB-3": "声明标签列 `label`",
    "LEK-1": "声明划分 `split`",
    "TIM-1": "声明时段 `period`",
    "BAL-2": "声明每类所需记录数 `min_per_class`",
    "PRV-1": "添加 `source`、`source_details`、`original_time` 列，或在描述文件中写明 `sources`",
    "DOC-1": "添加描述数据集的 README.md",
    "MET-1": "添加 croissant.json（可用 `jiebang describe` 起草）",
    "MET-2": "在描述文件或 SHA256SUMS 中列出各文件的 SHA-256",
    "LIC-1": "在 LICENSE 文件、描述文件或 README 中写明许可",
    "ANN-1": "添加可读取的 COCO 或 YOLO 图像标注",
    "IMG-1": "添加图像",
}
"""What would have a measure measured, in Chinese; English is what the measures say themselves."""

ADVICE = {
    "all": "提交规则要求而缺少的数据表。",
    "DOC-1": "在 README 中补充缺少的说明项，每项单列标题。",
    "MET-1": "补全 croissant.json 的必填项。",
    "MET-2": "使清单与文件一致：列出每个文件及其正确的 SHA-256。",
    "FMT-1": "修复无法解析的记录。",
    "TYP-1": "更正与列类型不符的单元格。",
    "DOM-1": "更正超出取值范围的单元格。",
    "ENC-1": "清除文本中的乱码和损坏字符。",
    "COM-1": "补齐缺失的值。",
    "COM-2": "补齐最空的必填字段。",
    "COM-3": "补全缺少必填值的记录。",
    "COM-4": "为没有标签的记录补上标签。",
    "COM-5": "补齐时间网格上缺少的时刻。",
    "SCL-1": "增加不重复的记录，达到所需规模。",
    "RUL-1": "更正违反业务规则的记录。",
    "OUT-1": "核对极端值，可能是单位或录入错误。",
    "DUP-1": "删除重复的记录。",
    "KEY-1": "使每条记录的主键完整且唯一。",
    "REF-1": "更正找不到对应记录的引用，或补上被引用的记录。",
    "LAB-3": "统一相同记录的标签。",
    "TIM-3": "按时间排序，并删除同一时刻的重复记录。",
    "LEK-1": "从测试集中移除与训练集相同的记录。",
    "TIM-1": "替换时间不在要求时段内的记录。",
    "BAL-1": "增加稀少类别的记录。",
    "BAL-2": "为记录不足的类别增加记录。",
    "PII-1": "遮蔽或移除个人信息。",
    "PII-2": "遮蔽或移除敏感个人信息。",
    "LIC-1": "为每个数据文件写明清晰的许可。",
    "ANN-1": "更正无效的标注框。",
    "IMG-1": "替换未通过检查的图像（损坏、过小、全黑或重复等）。",
    "PRV-1": "为每条记录写明来源、来源说明和原始时间。",
}
"""What to do about a measure in general, in Chinese; beside it stands the engine's own sentence, which knows where."""


def phrase(key: str, language: Language, /, **values: object) -> str:
    """A phrase with its places filled; raises KeyError for one that is not known."""
    wording = PHRASES[key]
    text = wording.zh if language == "zh" else wording.en
    if "|" in text:
        one, many = text.split("|")
        text = one if str(values.get("n")) == "1" else many
    return text.format(**values)


def listed(words: list[str], language: Language) -> str:
    """Words as a sentence lists them."""
    if language == "zh":
        return "、".join(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
