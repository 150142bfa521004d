#!/usr/bin/env bash
# fetch.sh DIRECTORY [PROFILE]: brings the jars of pom.xml, or of a profile of it, into DIRECTORY, once for each version of pom.xml.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
libs=$1
for tool in java mvn; do
  command -v "$tool" >/dev/null || { echo "fetch.sh: $tool is needed for the tests against a real Kafka (Java 17, Maven)" >&2; exit 1; }
done
wanted=$(cksum <"$here/pom.xml")
if [ "$(cat "$libs/.pom" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
rm -rf "$libs"
mkdir -p "$libs"
mvn --quiet --batch-mode ${2:+"--activate-profiles=$2"} --file "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$(cd "$libs" && pwd)"
echo "$wanted" >"$libs/.pom"
