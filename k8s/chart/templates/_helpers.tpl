{{- define "scaler.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "scaler.fullname" -}}
{{- $name := include "scaler.name" . }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- /* names that are made from it, as NAME-client-tls, must fit in 63 characters */}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "scaler.identity" -}}
app.kubernetes.io/name: {{ include "scaler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* What selects the scaler's pods. It cannot be changed in a Deployment: never add to it. */}}
{{- define "scaler.selectorLabels" -}}
{{ include "scaler.identity" . }}
app.kubernetes.io/component: external-scaler
{{- end }}

{{- /* What everything is labelled with; commonLabels win, but never over what selects. */}}
{{- define "scaler.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: keda
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "scaler.labels" -}}
{{- $common := include "scaler.commonLabels" . | fromYaml }}
{{- $selector := include "scaler.selectorLabels" . | fromYaml }}
{{- mergeOverwrite $common .Values.commonLabels $selector | toYaml }}
{{- end }}

{{- define "scaler.podLabels" -}}
{{- $selector := include "scaler.selectorLabels" . | fromYaml }}
{{- mergeOverwrite (dict) .Values.commonLabels .Values.podLabels $selector | toYaml }}
{{- end }}

{{- define "scaler.controllerSelectorLabels" -}}
{{ include "scaler.identity" . }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "scaler.controllerLabels" -}}
{{- $common := include "scaler.commonLabels" . | fromYaml }}
{{- $selector := include "scaler.controllerSelectorLabels" . | fromYaml }}
{{- mergeOverwrite $common .Values.commonLabels $selector | toYaml }}
{{- end }}

{{- /* The annotations of an object: commonAnnotations, and its own, which win. Takes (list $ own). */}}
{{- define "scaler.annotations" }}
{{- with mergeOverwrite (dict) (index . 0).Values.commonAnnotations (index . 1) }}
  annotations: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "scaler.testLabels" -}}
{{- $common := include "scaler.commonLabels" . | fromYaml }}
{{- $identity := include "scaler.identity" . | fromYaml }}
{{- mergeOverwrite $common .Values.commonLabels $identity (dict "app.kubernetes.io/component" "test") | toYaml }}
{{- end }}

{{- define "scaler.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry }}
{{- $version := empty .Values.image.digest | ternary (printf ":%s" (default .Chart.AppVersion .Values.image.tag)) (printf "@%s" .Values.image.digest) }}
{{- printf "%s/%s%s" $registry .Values.image.repository $version }}
{{- end }}

{{- define "scaler.serviceAccount" -}}
{{- default (.Values.serviceAccount.create | ternary (include "scaler.fullname" .) "default") .Values.serviceAccount.name }}
{{- end }}

{{- /* The Secret with the connections file; empty where there is none. */}}
{{- define "scaler.connectionsSecret" -}}
{{- if and .Values.connections.existingSecret .Values.connections.config }}
{{- fail "connections: existingSecret and config are both given; only one can hold" }}
{{- end }}
{{- if .Values.connections.config }}
{{- include "scaler.fullname" . }}-connections
{{- else }}
{{- .Values.connections.existingSecret }}
{{- end }}
{{- end }}

{{- /* Ends the rendering where `of` is on and the port has no TLS. */}}
{{- define "scaler.needTls" -}}
{{- if not .root.Values.tls.enabled }}
{{- fail (printf "%s needs tls.enabled: true; without it the port has no TLS" .of) }}
{{- end }}
{{- end }}

{{- define "scaler.tlsSecret" -}}
{{- default (printf "%s-tls" (include "scaler.fullname" .)) .Values.tls.secretName }}
{{- end }}

{{- define "scaler.clientTlsSecret" -}}
{{- default (printf "%s-client-tls" (include "scaler.fullname" .)) .Values.tls.clientSecretName }}
{{- end }}

{{- /* Where the pod of helm test runs: where KEDA's certificate is, if it needs one. */}}
{{- define "scaler.testNamespace" -}}
{{- and .Values.tls.enabled .Values.tls.requireClientCertificate | ternary .Values.keda.namespace .Release.Namespace }}
{{- end }}

{{- define "scaler.address" -}}
{{- include "scaler.fullname" . }}.{{ .Release.Namespace }}:{{ .Values.grpcPort }}
{{- end }}
