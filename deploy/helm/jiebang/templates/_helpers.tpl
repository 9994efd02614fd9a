{{- define "jiebang.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Labels that never change, of one component or (with "") of the whole release: (dict "root" $ "component" name). */}}
{{- define "jiebang.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "jiebang.labels" -}}
{{ include "jiebang.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: jiebang
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What a process is: its own entry over the defaults, as YAML: (dict "root" $ "name" name). */}}
{{- define "jiebang.process" -}}
{{- $own := index .root.Values.services .name -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy $own)) -}}
{{- end }}

{{- define "jiebang.image" -}}
{{- $image := .root.Values.image -}}
{{- $own := default dict (index $image.variants .variant) -}}
{{- $repository := default (printf "%s-%s" $image.repository .variant) $own.repository -}}
{{- if $own.digest -}}
{{- printf "%s@%s" $repository $own.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (coalesce $own.tag $image.tag .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* Who decides the number of pods of a process: "none", "hpa" or "keda". */}}
{{- define "jiebang.scaler" -}}
{{- if eq .root.Values.scaling "keda" -}}
{{- if or .process.reads .process.queue }}keda{{ else }}hpa{{ end -}}
{{- else if and (eq .root.Values.scaling "hpa") .process.routes -}}
hpa
{{- else -}}
none
{{- end -}}
{{- end }}

{{- define "jiebang.strimzi" -}}
{{- if and .Values.kafka.strimzi.enabled (not .Values.kafka.bootstrap) }}yes{{ end -}}
{{- end }}

{{- define "jiebang.trialMongodb" -}}
{{- if and .Values.mongodb.trial.enabled (not .Values.mongodb.existingSecret) (not .Values.mongodb.uri) }}yes{{ end -}}
{{- end }}

{{/* One volume that one node at a time may mount: whatever mounts it has to be on one node. */}}
{{- define "jiebang.onOneNode" -}}
{{- if and (not .Values.objects.url) (not (has "ReadWriteMany" .Values.objects.volume.accessModes)) }}yes{{ end -}}
{{- end }}

{{- define "jiebang.kafkaBootstrap" -}}
{{- if .Values.kafka.bootstrap -}}
{{- join "," .Values.kafka.bootstrap -}}
{{- else if .Values.kafka.strimzi.enabled -}}
{{- printf "%s-kafka-kafka-bootstrap.%s.svc:9093" (include "jiebang.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- fail "set kafka.bootstrap to the addresses of brokers, or kafka.strimzi.enabled to true" -}}
{{- end -}}
{{- end }}

{{/* The Secret with the user, or with the authority, that Kafka is spoken to with; empty without one. */}}
{{- define "jiebang.kafkaUserSecret" -}}
{{- if include "jiebang.strimzi" . }}{{ include "jiebang.fullname" . }}-kafka-client{{ else }}{{ .Values.kafka.existingSecret }}{{ end -}}
{{- end }}

{{- define "jiebang.kafkaCaSecret" -}}
{{- if include "jiebang.strimzi" . }}{{ include "jiebang.fullname" . }}-kafka-cluster-ca-cert{{ else }}{{ .Values.kafka.caSecret }}{{ end -}}
{{- end }}

{{- define "jiebang.kafkaReplication" -}}
{{- if include "jiebang.strimzi" . }}{{ min 3 (int .Values.kafka.strimzi.replicas) }}{{ else }}{{ int .Values.kafka.replication }}{{ end -}}
{{- end }}

{{- define "jiebang.mongodbSecret" -}}
{{- if .Values.mongodb.existingSecret -}}
{{- .Values.mongodb.existingSecret -}}
{{- else if or .Values.mongodb.uri (include "jiebang.trialMongodb" .) -}}
{{- include "jiebang.fullname" . }}-mongodb
{{- else -}}
{{- fail "set mongodb.existingSecret or mongodb.uri, or mongodb.trial.enabled to true" -}}
{{- end -}}
{{- end }}

{{- define "jiebang.mongodbSecretKey" -}}
{{- if .Values.mongodb.existingSecret }}{{ .Values.mongodb.existingSecretKey }}{{ else }}uri{{ end -}}
{{- end }}

{{- define "jiebang.signingSecret" -}}
{{- default (printf "%s-signing" (include "jiebang.fullname" .)) .Values.signing.existingSecret -}}
{{- end }}

{{- define "jiebang.objectsClaim" -}}
{{- default (printf "%s-objects" (include "jiebang.fullname" .)) .Values.objects.volume.existingClaim -}}
{{- end }}

{{/* A value as an environment variable has it: whole numbers without an exponent. */}}
{{- define "jiebang.plain" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}

{{/* A length of time, as the settings write it, in milliseconds. */}}
{{- define "jiebang.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (index $units (regexFind "[a-z]+$" .)) | ceil | int64 -}}
{{- end }}

{{/* Seconds until a pod that was told to stop is killed: the longest that shared/app.py takes to stop, and some. */}}
{{- define "jiebang.stopSeconds" -}}
{{- $grace := include "jiebang.milliseconds" (default "20s" .root.Values.settings.GRACE) | int64 -}}
{{- add (div (mul $grace 11) 4000) 10 .process.drainSeconds -}}
{{- end }}

{{/* Every JIEBANG_ variable that is no secret, of all processes: each leaves the others' alone. */}}
{{- define "jiebang.settings" -}}
JIEBANG_HOST: {{ .Values.host | quote }}
JIEBANG_KAFKA_BOOTSTRAP: {{ include "jiebang.kafkaBootstrap" . | quote }}
JIEBANG_KAFKA_REPLICATION: {{ include "jiebang.kafkaReplication" . | quote }}
{{- if include "jiebang.kafkaCaSecret" . }}
JIEBANG_KAFKA_CA_FILE: /var/run/jiebang/kafka/ca.crt
{{- end }}
JIEBANG_OBJECTS_URL: {{ default "file:///var/lib/jiebang/objects" .Values.objects.url | quote }}
JIEBANG_SCRATCH_DIR: /tmp/jiebang
JIEBANG_SIGNING_KEY_FILE: /var/run/jiebang/signing/key.pem
{{- range $name, $value := .Values.settings }}
JIEBANG_{{ $name }}: {{ include "jiebang.plain" $value | quote }}
{{- end }}
{{- range $name, $process := .Values.services }}
{{- $own := printf "JIEBANG_%s" ($name | upper | replace "-" "_") }}
{{- if $process.routes }}
{{ $own }}_PORT: "8080"
{{- end }}
{{ $own }}_INTERNAL_PORT: "9090"
{{- range $setting, $value := $process.settings }}
{{ $own }}_{{ $setting }}: {{ include "jiebang.plain" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What comes from Secrets, and what the object store's client reads: the `env` of a container. */}}
{{- define "jiebang.env" -}}
- name: JIEBANG_MONGO_URI
  valueFrom:
    secretKeyRef: {name: {{ include "jiebang.mongodbSecret" . }}, key: {{ include "jiebang.mongodbSecretKey" . }}}
{{- with include "jiebang.kafkaUserSecret" . }}
{{- if include "jiebang.strimzi" $ }}
- {name: JIEBANG_KAFKA_USERNAME, value: {{ . }}}
{{- else }}
- name: JIEBANG_KAFKA_USERNAME
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: username}
{{- end }}
- name: JIEBANG_KAFKA_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: password}
{{- end }}
- {name: HOME, value: /tmp}
- {name: PYTHONDONTWRITEBYTECODE, value: "1"}
{{- end }}

{{/* Where the authority of the brokers is: one entry of a container's mounts, and one of a pod's volumes. */}}
{{- define "jiebang.kafkaMount" -}}
{{- if include "jiebang.kafkaCaSecret" . }}
- {name: kafka-ca, mountPath: /var/run/jiebang/kafka, readOnly: true}
{{- end }}
{{- end }}

{{- define "jiebang.kafkaVolume" -}}
{{- with include "jiebang.kafkaCaSecret" . }}
- name: kafka-ca
  secret:
    secretName: {{ . }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end }}

{{- define "jiebang.objectsEnv" -}}
{{- range $name := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
{{- with $.Values.objects.existingSecret }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $name }}}
{{- end }}
{{- end }}
{{- with .Values.objects.endpoint }}
- {name: AWS_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.objects.region }}
- {name: AWS_REGION, value: {{ . | quote }}}
{{- end }}
{{- if .Values.objects.allowHttp }}
- {name: AWS_ALLOW_HTTP, value: "true"}
{{- end }}
{{- end }}

{{/* Security of a pod of ours; a trial's MongoDB has another user. (dict "root" $ "user" number-or-nil) */}}
{{- define "jiebang.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ default .root.Values.podSecurity.runAsUser .user | int64 }}
runAsGroup: {{ default .root.Values.podSecurity.runAsGroup .user | int64 }}
fsGroup: {{ default .root.Values.podSecurity.fsGroup .user | int64 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "jiebang.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* The containers of Strimzi's pods write where their image says. */}}
{{- define "jiebang.brokerSecurity" -}}
allowPrivilegeEscalation: false
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What every pod says of itself. Without enableServiceLinks: false the cluster would add variables such as
     JIEBANG_BOARD_PORT=tcp://…, which are settings of ours. */}}
{{- define "jiebang.podBasics" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - {name: {{ . }}}
{{- end }}
{{- end }}
{{- end }}

{{/* The names of the topics that a service reads, as JSON: (dict "root" $ "reader" name). */}}
{{- define "jiebang.readTopics" -}}
{{- $names := list -}}
{{- range (.root.Files.Get "files/topics.yaml" | fromYaml).topics -}}
{{- if has $.reader .readers }}{{ $names = append $names .name }}{{ end -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}

{{/* The egress that any process needs: names, Kafka, MongoDB, traces. */}}
{{- define "jiebang.egress" -}}
- to: {{- toYaml .Values.networkPolicy.dnsTo | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- if include "jiebang.strimzi" . }}
- to:
    - podSelector: {matchLabels: {strimzi.io/cluster: {{ include "jiebang.fullname" . }}-kafka}}
  ports:
    - {protocol: TCP, port: 9093}
{{- else }}
{{ include "jiebang.egressTo" .Values.networkPolicy.kafka }}
{{- end }}
{{- if include "jiebang.trialMongodb" . }}
- to:
    - podSelector:
        matchLabels: {{- include "jiebang.selector" (dict "root" . "component" "mongodb") | nindent 10 }}
  ports:
    - {protocol: TCP, port: 27017}
{{- else }}
{{ include "jiebang.egressTo" .Values.networkPolicy.mongodb }}
{{- end }}
{{- if .Values.settings.OTLP_ENDPOINT }}
{{ include "jiebang.egressTo" .Values.networkPolicy.otlp }}
{{- end }}
{{- end }}

{{- define "jiebang.egressTo" -}}
- ports:
{{- range .ports }}
    - {protocol: TCP, port: {{ int . }}}
{{- end }}
{{- with .to }}
  to: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
