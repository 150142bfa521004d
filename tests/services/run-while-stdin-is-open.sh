#!/bin/sh
# run-while-stdin-is-open.sh PIDFILE COMMAND...: runs COMMAND, writes its pid to PIDFILE, and kills it when stdin closes, that
# is, when whoever started this is gone, however it went.
pidfile=$1
shift
exec 3<&0
"$@" </dev/null &
pid=$!
echo "$pid" >"$pidfile.new" && mv "$pidfile.new" "$pidfile"
{ cat <&3 >/dev/null; kill -KILL "$pid" 2>/dev/null; } &
wait "$pid"
