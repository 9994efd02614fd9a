"""Secrets that tell by their form whose they are: keys of clouds and services, private keys, signed tokens."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Callable

from jiebang.detectors.definition import Candidate, Detector, FindClass, Kind, always
from jiebang.detectors.lists import words

_REVOKE = "Revoke it where it was given out, then take it out: who has the dataset can use it."
_PLACEHOLDERS = tuple(words("placeholders"))


def entropy(text: str) -> float:
    """Shannon's entropy of the characters of a text, in bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def is_placeholder(value: str) -> bool:
    """Whether a value is written to stand for a secret, not to be one."""
    small = value.lower()
    return any(word in small for word in _PLACEHOLDERS) or len(set(small)) < 5


def _random(name: str, least: float) -> Callable[[Candidate], str | None]:
    """A validator for keys whose characters must look drawn by lot: so many bits a character."""

    def validate(found: Candidate) -> str | None:
        key = found.matched
        sample = "example" in key.lower() or "xxxx" in key.lower() or found.is_masked
        return None if sample or entropy(key) < least else name

    return validate


def _signed_token(found: Candidate) -> str | None:
    head = found.matched.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return None
    return "signed_token" if isinstance(header, dict) and "alg" in header else None


def _key(
    name: str, en: str, zh: str, pattern: str, *, least: float = 0.0, within: str = "0-9A-Za-z_-"
) -> tuple[FindClass, Detector]:
    """A key whose pattern says enough: no character of `within` beside it, and so many bits a character at least."""
    exact = re.compile(rf"(?<![{within}]){pattern}(?![{within}])".encode())
    rule = "its form" + (f", and {least:g} bits a character at least" if least else "")
    detector = Detector(name, pattern, exact, _random(name, least), rule, back=240, ahead=240)
    return FindClass(name, Kind.SECRET, en, zh, _REVOKE), detector


_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_KEYS = (
    _key("aws_key", "AWS access key", "AWS 访问密钥", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", least=3.0),
    _key("aliyun_key", "Alibaba Cloud access key", "阿里云访问密钥", "LTAI[0-9A-Za-z]{12,26}", least=3.0),
    _key("tencent_key", "Tencent Cloud secret id", "腾讯云密钥", "AKID[0-9A-Za-z]{32}", least=3.5),
    _key("volcengine_key", "Volcengine access key", "火山引擎访问密钥", "AKLT[0-9A-Za-z_-]{30,60}", least=3.5),
    _key(
        "google_key", "Google API key", "谷歌 API 密钥", "(?:AIza[0-9A-Za-z_-]{35}|GOCSPX-[0-9A-Za-z_-]{28})", least=3.5
    ),
    _key(
        "github_token",
        "GitHub token",
        "GitHub 令牌",
        "(?:gh[oprsu]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59})",
        least=3.5,
    ),
    _key("gitlab_token", "GitLab token", "GitLab 令牌", "gl(?:pat|dt|rt|ptt)-[0-9A-Za-z_-]{20,26}", least=3.2),
    _key("slack_token", "Slack token", "Slack 令牌", "xox[abprs]-[0-9]{8,13}-[0-9A-Za-z-]{16,72}", least=3.0),
    _key(
        "model_service_key",
        "key of a language model service",
        "大模型服务密钥",
        "sk-(?:proj-[0-9A-Za-z_-]{40,170}|ant-[a-z0-9]{3,8}-[0-9A-Za-z_-]{60,110}|or-v1-[0-9a-f]{64}|[0-9A-Za-z]{32,64})",
        least=3.3,
    ),
    _key("hugging_face_token", "Hugging Face token", "Hugging Face 令牌", "hf_[A-Za-z]{34}", least=3.5),
    _key("stripe_key", "Stripe live key", "Stripe 密钥", "[rs]k_live_[0-9A-Za-z]{24,99}", least=3.3),
    _key("sendgrid_key", "SendGrid key", "SendGrid 密钥", "SG\\.[0-9A-Za-z_-]{22}\\.[0-9A-Za-z_-]{43}", least=3.5),
    _key("npm_token", "npm token", "npm 令牌", "npm_[0-9A-Za-z]{36}", least=3.5),
    _key("pypi_token", "PyPI token", "PyPI 令牌", "pypi-AgEIcHlwaS5vcmc[0-9A-Za-z_-]{50,200}", least=3.5),
    _key("telegram_token", "Telegram bot token", "Telegram 机器人令牌", "[0-9]{8,10}:AA[0-9A-Za-z_-]{33}", least=3.5),
    _key(
        "azure_key",
        "Azure storage key",
        "Azure 存储密钥",
        "AccountKey=[0-9A-Za-z+/]{86}==",
        least=3.5,
        within="0-9A-Za-z+/=",
    ),
    _key(
        "robot_webhook",
        "webhook of a group robot",
        "群机器人回调地址",
        "(?:oapi\\.dingtalk\\.com/robot/send\\?access_token=[0-9a-f]{64}"
        f"|qyapi\\.weixin\\.qq\\.com/cgi-bin/webhook/send\\?key={_UUID}"
        f"|open\\.feishu\\.cn/open-apis/bot/v2/hook/{_UUID}"
        "|hooks\\.slack\\.com/services/T[0-9A-Z]{8,12}/B[0-9A-Z]{8,12}/[0-9A-Za-z]{24})",
        least=3.0,
    ),
)

CLASSES = (
    FindClass("private_key", Kind.SECRET, "private key", "私钥", _REVOKE),
    FindClass("signed_token", Kind.SECRET, "signed token (JWT)", "签名令牌 (JWT)", _REVOKE),
    *(kind for kind, _ in _KEYS),
)

DETECTORS = (
    Detector(
        "private_key",
        "-----BEGIN (?:[A-Z0-9]{2,9} ){0,2}PRIVATE KEY(?: BLOCK)?-----",
        re.compile(rb"-----BEGIN (?:[A-Z0-9]{2,9} ){0,2}PRIVATE KEY(?: BLOCK)?-----"),
        always("private_key"),
        "its first line (PEM, OpenSSH, PGP)",
    ),
    Detector(
        "signed_token",
        "eyJ[0-9A-Za-z_-]{10,500}\\.eyJ[0-9A-Za-z_-]{10}",
        re.compile(rb"(?<![0-9A-Za-z_-])eyJ[0-9A-Za-z_-]{10,500}\.eyJ[0-9A-Za-z_-]{10,1500}\.[0-9A-Za-z_-]{10,1000}"),
        _signed_token,
        "three parts in base64url, the first of which is JSON with an `alg`",
        back=540,
        ahead=2600,
    ),
    *(detector for _, detector in _KEYS),
)
