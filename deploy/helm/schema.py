"""`values.schema.json`: what the chart takes, and nothing else, so that a typo is an error and not a default."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from deploy.helm.settings import PROCESSES, Offered, own_settings, shared_settings

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 1}
SECONDS: Schema = {"type": "integer", "minimum": 0}
SIZE: Schema = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(Mi|Gi|Ti)$"}
DURATION: Schema = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}
NAMES: Schema = {"type": "object", "additionalProperties": TEXT}
# The names that Kubernetes defines here are checked by its API server.
ANY_OBJECT: Schema = {"type": "object"}
OBJECTS: Schema = {"type": "array", "items": ANY_OBJECT}
RESOURCES: Schema = {"$ref": "#/$defs/resources"}
EGRESS: Schema = {"$ref": "#/$defs/egress"}
STORAGE: Schema = {"$ref": "#/$defs/storage"}


def build() -> Schema:
    """The whole schema (JSON Schema, draft 7)."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart jiebang",
        **_closed(
            {
                # A parent chart sets these two without being asked.
                "global": ANY_OBJECT,
                "enabled": FLAG,
                "fullnameOverride": {"type": "string", "pattern": "^([a-z][a-z0-9-]*)?$"},
                "commonLabels": NAMES,
                "image": _closed(
                    {
                        "repository": TEXT,
                        "tag": TEXT,
                        "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
                        "pullSecrets": _list(TEXT),
                        "variants": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": dict.fromkeys(("api", "engine"), _closed(_image())),
                        },
                    }
                ),
                "settings": _settings(shared_settings()),
                "host": TEXT,
                "defaults": _closed(_process()),
                "podSecurity": _closed(dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), COUNT)),
                "services": _closed({name: _service(name) for name in PROCESSES}),
                "scaling": {"enum": ["none", "hpa", "keda"]},
                "keda": _closed(
                    {
                        "pollingInterval": COUNT,
                        "cooldownPeriod": SECONDS,
                        "stabilizationSeconds": {**SECONDS, "maximum": 3600},
                        "kafkaBootstrap": TEXT,
                    }
                ),
                "kafka": _closed(
                    {
                        "bootstrap": _list({"type": "string", "pattern": "^[^,\\s]+:[0-9]+$"}),
                        "replication": COUNT,
                        "existingSecret": TEXT,
                        "caSecret": TEXT,
                        "strimzi": _closed(
                            {
                                "enabled": FLAG,
                                "replicas": COUNT,
                                "version": TEXT,
                                "topics": FLAG,
                                "storage": STORAGE,
                                "resources": RESOURCES,
                            }
                        ),
                    }
                ),
                "mongodb": _closed(
                    {
                        "existingSecret": TEXT,
                        "existingSecretKey": TEXT,
                        "uri": {"type": "string", "pattern": "^(mongodb(\\+srv)?://.+)?$"},
                        "trial": _closed(
                            {
                                "enabled": FLAG,
                                "image": TEXT,
                                "storage": STORAGE,
                                "resources": RESOURCES,
                                "runAsUser": COUNT,
                            }
                        ),
                    }
                ),
                "objects": _closed(
                    {
                        "url": {"type": "string", "pattern": "^(s3://.+)?$"},
                        "existingSecret": TEXT,
                        "endpoint": {"type": "string", "pattern": "^(https?://.+)?$"},
                        "region": TEXT,
                        "allowHttp": FLAG,
                        "volume": _closed(
                            {
                                "existingClaim": TEXT,
                                "size": SIZE,
                                "class": TEXT,
                                "accessModes": _list({"enum": ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]}),
                            }
                        ),
                    }
                ),
                "signing": _closed({"existingSecret": TEXT, "existingSecretKey": TEXT}),
                "certificates": _closed({"existingSecret": TEXT}),
                "origin": {"type": "string", "pattern": "^(https?://[^/]+)?$"},
                "gateway": _closed(
                    {
                        "enabled": FLAG,
                        "parentRefs": OBJECTS,
                        "hostnames": _list(TEXT),
                        "annotations": NAMES,
                        "timeouts": _closed({"request": DURATION, "backendRequest": DURATION}),
                    }
                ),
                "ingress": _closed(
                    {"enabled": FLAG, "className": TEXT, "host": TEXT, "tlsSecret": TEXT, "annotations": NAMES}
                ),
                "networkPolicy": _closed(
                    {
                        "enabled": FLAG,
                        **dict.fromkeys(("apiFrom", "metricsFrom", "kedaFrom", "dnsTo"), OBJECTS),
                        **dict.fromkeys(("kafka", "mongodb", "objects", "otlp"), EGRESS),
                        "internet": _list(_closed({"cidr": TEXT, "except": _list(TEXT)})),
                    }
                ),
                "monitoring": _closed(
                    {
                        "enabled": FLAG,
                        "interval": DURATION,
                        "labels": NAMES,
                        "rules": FLAG,
                        "dashboards": FLAG,
                        "dashboardLabels": NAMES,
                    }
                ),
                "prepare": _closed({"enabled": FLAG, "backoffLimit": SECONDS, "deadlineSeconds": COUNT}),
                "test": _closed({"seconds": COUNT}),
            }
        ),
        "$defs": {
            "resources": _closed({name: _quantities() for name in ("requests", "limits")}),
            "storage": _closed({"size": SIZE, "class": TEXT}),
            "egress": _closed({"to": OBJECTS, "ports": _list({"type": "integer", "minimum": 1, "maximum": 65535})}),
        },
    }


def written() -> str:
    """The schema as the file has it."""
    return json.dumps(build(), indent=2) + "\n"


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _image() -> Schema:
    """Of one variant: a digest is of one image, so that only here it can be named."""
    return {"repository": TEXT, "tag": TEXT, "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}}


def _quantities() -> Schema:
    quantity = {"type": ["string", "number"]}
    return _closed(dict.fromkeys(("cpu", "memory", "ephemeral-storage"), quantity))


def _process() -> Schema:
    """What `defaults` and every service may say."""
    return {
        "replicas": {"type": "integer", "minimum": 0},
        "autoscaling": _closed(
            {
                # Never none: a reader that is not there has no lag that anybody sees.
                "minReplicas": COUNT,
                "maxReplicas": COUNT,
                "cpu": {"type": "integer", "minimum": 1, "maximum": 100},
                "lag": COUNT,
                "queue": COUNT,
            }
        ),
        "resources": RESOURCES,
        "serviceAccountAnnotations": NAMES,
        "podAnnotations": NAMES,
        "podLabels": NAMES,
        "extraEnv": OBJECTS,
        "nodeSelector": NAMES,
        "tolerations": OBJECTS,
        "affinity": ANY_OBJECT,
        "priorityClassName": TEXT,
        "topologySpread": OBJECTS,
        "maxUnavailable": COUNT,
        "drainSeconds": SECONDS,
        "startSeconds": {"type": "integer", "minimum": 10},
        "scratchSize": SIZE,
    }


def _service(name: str) -> Schema:
    return _closed(
        {
            **_process(),
            "enabled": FLAG,
            "module": TEXT,
            "variant": {"enum": ["api", "engine"]},
            "routes": _list({"type": "string", "pattern": "^/v1/[a-z]+$"}),
            "reads": TEXT,
            "objects": FLAG,
            "signs": FLAG,
            "certifies": FLAG,
            "internet": FLAG,
            "coresSetting": TEXT,
            "queue": _closed({"database": TEXT, "collection": TEXT, "query": TEXT}),
            "settings": _settings(own_settings(name)),
        }
    )


def _settings(offered: Iterable[Offered]) -> Schema:
    return _closed(
        {each.name: {**each.schema, **({"description": each.meaning} if each.meaning else {})} for each in offered}
    )
