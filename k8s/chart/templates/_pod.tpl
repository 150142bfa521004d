{{- /* Settings are given by environment, so that extraArgs win over them. */}}
{{- define "scaler.env" -}}
- {name: STREAM_SCALER_GRPC_ADDR, value: "{{ .Values.listenAddress }}:{{ .Values.grpcPort }}"}
- {name: STREAM_SCALER_HTTP_ADDR, value: "{{ .Values.listenAddress }}:{{ .Values.httpPort }}"}
- {name: STREAM_SCALER_LOG, value: {{ default .Values.logLevel .Values.logFilter | quote }}}
- {name: STREAM_SCALER_LOG_FORMAT, value: {{ .Values.logFormat }}}
- {name: STREAM_SCALER_WORKER_THREADS, value: {{ .Values.workerThreads | quote }}}
- {name: STREAM_SCALER_MAX_CONNECTION_AGE_SECONDS, value: {{ .Values.maxConnectionAgeSeconds | quote }}}
- {name: STREAM_SCALER_DRAIN_SECONDS, value: {{ .Values.drainSeconds | quote }}}
{{- if include "scaler.connectionsSecret" . }}
- {name: STREAM_SCALER_CONNECTIONS, value: /etc/stream-scaler/connections/{{ .Values.connections.key }}}
{{- end }}
{{- if .Values.tls.enabled }}
- {name: STREAM_SCALER_TLS_CERT, value: /etc/stream-scaler/tls/tls.crt}
- {name: STREAM_SCALER_TLS_KEY, value: /etc/stream-scaler/tls/tls.key}
{{- if .Values.tls.requireClientCertificate }}
- {name: STREAM_SCALER_TLS_CLIENT_CA, value: /etc/stream-scaler/tls/ca.crt}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Whole folders are mounted: a subPath would never see that a Secret has changed. */}}
{{- define "scaler.volumeMounts" -}}
{{- if include "scaler.connectionsSecret" . }}
- {name: connections, mountPath: /etc/stream-scaler/connections, readOnly: true}
{{- end }}
{{- if .Values.tls.enabled }}
- {name: tls, mountPath: /etc/stream-scaler/tls, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Mode 288 is 0440: for the group, which is the pod's. */}}
{{- define "scaler.volumes" -}}
{{- with include "scaler.connectionsSecret" . }}
- name: connections
  secret: {secretName: {{ . }}, defaultMode: 288}
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ include "scaler.tlsSecret" . }}, defaultMode: 288}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
