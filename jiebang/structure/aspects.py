"""The twenty aspects that a dataset's documentation speaks of, and where a document does.

The four groups follow the indicators 0101 to 0104 of TC609-5-2025-04; the five aspects of each and their synonyms are
our reading of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from jiebang.structure.documents import Section

LEAST_CHARACTERS = 30
"""What a line `name: text` must say to count; under a heading anything counts that is no placeholder."""

MOST_NAMED = 3
"""A heading that names more aspects is a list of words and counts for none; so does a text under more headings."""


@dataclass(frozen=True)
class Aspect:
    """One aspect: what it is called, in both languages, and the words by which a heading names it."""

    id: str
    en: str
    zh: str
    words: tuple[str, ...]


def _aspect(id: str, en: str, zh: str, words: str) -> Aspect:
    return Aspect(id, en, zh, tuple(word.strip() for word in words.split(",")))


ASPECTS = (
    # 0101 what it is
    _aspect(
        "0101-1", "summary", "简介",
        "summary, overview, description, introduction, about, abstract, motivation, purpose, background, "
        "简介, 概述, 概况, 概要, 摘要, 介绍, 背景, 基本信息, 建设目的",
    ),
    _aspect(
        "0101-2", "version and dates", "版本与日期",
        "version, versions, versioning, changelog, change log, release, releases, release notes, history, updates, "
        "版本, 更新日志, 更新记录, 变更记录, 修订记录, 发布日期, 发布时间, 更新时间, 更新频率",
    ),
    _aspect(
        "0101-3", "scale", "规模",
        "size, scale, statistics, volume, number of records, record count, records, counts, "
        "规模, 数据量, 统计信息, 数据统计, 样本量, 样本数, 记录数, 条数, 数量",
    ),
    _aspect(
        "0101-4", "provider and contact", "提供方与联系方式",
        "author, authors, maintainer, maintainers, maintenance, publisher, creator, creators, contact, contacts, "
        "provider, curator, curators, owner, "
        "作者, 提供方, 提供者, 发布方, 发布者, 发布单位, 提供单位, 建设单位, 研制单位, "
        "联系方式, 联系人, 联系我们, 维护",
    ),
    _aspect(
        "0101-5", "files", "文件组成",
        "file, files, contents, structure, directory, layout, file list, composition, dataset structure, "
        "文件, 目录, 结构, 组成, 清单, 数据构成",
    ),
    # 0102 what is in it
    _aspect(
        "0102-1", "fields", "字段",
        "field, fields, column, columns, variable, variables, schema, data dictionary, dictionary, features, "
        "attributes, codebook, data fields, "
        "字段, 列说明, 变量, 数据字典, 元数据, 属性, 数据项",
    ),
    _aspect(
        "0102-2", "format and encoding", "格式与编码",
        "format, formats, file format, encoding, encodings, 格式, 编码",
    ),
    _aspect(
        "0102-3", "examples", "样例",
        "example, examples, sample, samples, data instances, instances, preview, 样例, 示例, 样本示例, 例子, 数据实例",
    ),
    _aspect(
        "0102-4", "labels", "标签",
        "label, labels, class, classes, category, categories, target, targets, label set, taxonomy, "
        "标签, 类别, 标签体系, 分类体系, 目标变量, 预测目标",
    ),
    _aspect(
        "0102-5", "coverage and splits", "覆盖范围与划分",
        "split, splits, data splits, train, partition, partitions, distribution, coverage, time range, period, "
        "划分, 训练集, 测试集, 数据分布, 覆盖范围, 时间范围, 空间范围, 时间跨度, 采样区间",
    ),
    # 0103 how it was made
    _aspect(
        "0103-1", "sources", "来源",
        "source, sources, source data, data source, origin, origins, provenance, 来源, 出处, 数据源",
    ),
    _aspect(
        "0103-2", "collection", "采集",
        "collection, data collection, acquisition, sampling, collected, gathering, measurement, "
        "采集, 收集, 抽样, 获取方式, 获取方法, 测量方法",
    ),
    _aspect(
        "0103-3", "processing", "加工处理",
        "preprocessing, pre processing, processing, cleaning, transformation, transformations, curation, "
        "normalization, normalisation, deduplication, "
        "清洗, 预处理, 数据处理, 处理方法, 处理流程, 处理过程, 加工, 转换, 去重",
    ),
    _aspect(
        "0103-4", "annotation", "标注",
        "annotation, annotations, annotation process, annotators, annotator, labelling, labeling, 标注, 标引",
    ),
    _aspect(
        "0103-5", "quality control", "质量控制",
        "quality, quality control, quality assurance, validation, verification, audit, known issues, missing values, "
        "checks, 质量, 质检, 审核, 校验, 验证, 缺失值, 缺失情况, 已知问题",
    ),
    # 0104 how it may and may not be used
    _aspect(
        "0104-1", "uses", "用途",
        "use, uses, intended use, intended uses, use case, use cases, application, applications, task, tasks, "
        "supported tasks, scenario, scenarios, "
        "应用, 用途, 场景, 任务, 适用范围, 适用对象",
    ),
    _aspect(
        "0104-2", "how to load it", "使用方法",
        "how to use, usage, getting started, get started, loading, quick start, quickstart, how to load, download, "
        "使用方法, 使用说明, 使用方式, 使用示例, 加载, 快速开始, 读取, 下载",
    ),
    _aspect(
        "0104-3", "limitations", "局限",
        "limitation, limitations, bias, biases, caveat, caveats, risk, risks, out of scope, known limitations, "
        "局限, 限制, 偏差, 偏见, 风险, 注意事项, 不适用",
    ),
    _aspect(
        "0104-4", "privacy and compliance", "隐私与合规",
        "privacy, personal, sensitive, personal information, ethics, ethical, consent, security, safety, compliance, "
        "anonymization, anonymisation, de identification, legal basis, "
        "隐私, 个人信息, 敏感, 脱敏, 匿名, 伦理, 合规, 安全, 知情同意, 法律依据",
    ),
    _aspect(
        "0104-5", "licence and citation", "许可与引用",
        "license, licence, licenses, licensing, copyright, terms, terms of use, citation, cite, how to cite, rights, "
        "许可, 授权, 版权, 协议, 引用, 知识产权, 权属",
    ),
)  # fmt: skip
"""The aspects in four groups of five."""

_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W_]+")
_PLACEHOLDERS = frozenset(
    (
        "todo", "tbd", "tba", "fixme", "na", "none", "nil",
        "xxx", "tofillin", "fillin", "fillmein", "moreinformationneeded", "comingsoon", "seeabove",
        "seebelow", "待补充", "待填写", "待定", "待完善", "待更新", "无",
        "略", "暂无", "同上", "请填写", "见上文", "loremipsum", "placeholder",
    )
)  # fmt: skip
_UNWRITTEN = re.compile(r"fill[ _-]?in|more information needed|lorem ipsum|待补充|待填写|请填写", re.IGNORECASE)


def aspects_found(documents: Iterable[Iterable[Section]]) -> set[str]:
    """The ids of the aspects that the documents speak of."""
    every = [section for sections in documents for section in sections]
    spoken = [(section, _essence(section.text)) for section in every]
    repeated = Counter(essence for section, essence in spoken if not section.is_line)
    found: set[str] = set()
    for section, essence in spoken:
        if not _says_something(section, essence) or repeated[essence] > MOST_NAMED:
            continue
        named = aspects_named(section.heading)
        if len(named) <= MOST_NAMED:
            found |= named
    return found


def aspects_named(heading: str) -> set[str]:
    """The ids of the aspects that a heading names."""
    text = unicodedata.normalize("NFKC", heading).casefold()
    words = f" {' '.join(_WORD.findall(text))} "
    return {
        aspect.id
        for aspect in ASPECTS
        if any(word in text if _HAN.search(word) else f" {word} " in words for word in aspect.words)
    }


def _says_something(section: Section, essence: str) -> bool:
    if essence in _PLACEHOLDERS or _UNWRITTEN.search(section.text):
        return False
    return len(essence) >= (LEAST_CHARACTERS if section.is_line else 2)


def _essence(text: str) -> str:
    """The letters and digits of a text, so that blanks and punctuation do not make two of one."""
    return "".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
