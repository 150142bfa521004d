#!/bin/sh
# certificates.sh DIRECTORY: a CA, a server, a server of another name, one whose time is over, a client with an encrypted key, and a stranger's client.
set -eu
umask 077
cd "$1"
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$1.key" -out "$1.crt" 2>/dev/null
}
certificate() { # name, authority, extensions, days
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf '%s\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days "${4:-3650}" -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  cat "$1.key" "$1.crt" >"$1.pem"
}
authority ca
authority stranger-ca
certificate server ca 'subjectAltName=IP:127.0.0.1,DNS:localhost
extendedKeyUsage=serverAuth,clientAuth'
certificate wronghost ca 'subjectAltName=DNS:elsewhere.invalid
extendedKeyUsage=serverAuth'
certificate expired ca 'subjectAltName=IP:127.0.0.1
extendedKeyUsage=serverAuth' -1
certificate alice ca 'extendedKeyUsage=clientAuth'
certificate stranger stranger-ca 'extendedKeyUsage=clientAuth'
openssl pkcs8 -topk8 -in alice.key -passout pass:key-secret -out alice-encrypted.key
