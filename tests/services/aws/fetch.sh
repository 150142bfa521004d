#!/usr/bin/env bash
# fetch.sh DIRECTORY: brings what the tests against AWS services run into DIRECTORY/{kinesis,dynamodb,kcl,adapter,moto}, each
# part once for each version of its input files: jars in lib/, our compiled launchers in classes/, the npm module in node_modules/,
# Python's modules in an environment of their own, bin/python.
set -euo pipefail
[ $# = 1 ] || { echo "usage: fetch.sh DIRECTORY" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
for tool in java javac mvn node npm python3; do
  command -v "$tool" >/dev/null && continue
  echo "fetch.sh: $tool is needed for the tests against AWS services (JDK 17, Maven, Node 20, Python 3 with venv)" >&2
  exit 1
done
mkdir -p "$1"
directory=$(cd "$1" && pwd)

# begin PART FILE...: false if the part was made of just these files; else empties its directory.
begin() {
  part=$directory/$1
  shift
  inputs=$(cd "$here" && cksum "$@" fetch.sh)
  if [ "$(cat "$part/.inputs" 2>/dev/null)" = "$inputs" ]; then return 1; fi
  rm -rf "$part"
  mkdir -p "$part"
}

# Last of all, so that a part left unfinished is made anew.
finish() {
  echo "$inputs" >"$part/.inputs"
}

# java_part PART SOURCE...: the jars of PART/pom.xml, and the sources compiled against them.
java_part() {
  local name=$1
  shift
  if ! begin "$name" "$name/pom.xml" "$@"; then return 0; fi
  mvn --quiet --batch-mode --file "$here/$name/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$part/lib"
  (cd "$here" && javac --release 17 -cp "$part/lib/*" -d "$part/classes" "$@")
  finish
}

if begin kinesis kinesis/package.json kinesis/package-lock.json kinesis/loopback.js; then
  cp "$here"/kinesis/{package.json,package-lock.json,loopback.js} "$part"
  (cd "$part" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
  finish
fi
java_part dynamodb dynamodb/LocalDynamoDb.java
java_part kcl kcl/KclConsumer.java consumer/ShardConsumer.java
java_part adapter adapter/AdapterConsumer.java consumer/ShardConsumer.java
if begin moto moto/requirements.txt moto/serve.py; then
  cp "$here/moto/serve.py" "$part"
  python3 -m venv "$part"
  # nothing is resolved, and nothing is built: the versions in the file, all of them
  "$part/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r "$here/moto/requirements.txt"
  finish
fi
