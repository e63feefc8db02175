#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The kvmu command: exit statuses, messages, statistics.
# Usage: cli_test.sh KVMU KVM_PROGRAM
set -u
kvmu=$(realpath "$1")
program=$(realpath "$2")
failures=0
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# expect STATUS TEXT COMMAND...: the status, and TEXT somewhere in the output.
expect() {
	status=$1
	text=$2
	shift 2
	"$@" >"$work/out" 2>&1
	got=$?
	if [ "$got" -ne "$status" ] ||
		{ [ -n "$text" ] && ! grep -qF -e "$text" "$work/out"; }; then
		echo "FAILED: $* : status $got, expected $status, and \"$text\" in:"
		cat "$work/out"
		failures=$((failures + 1))
	fi
}

expect 0 "Usage: kvmu run" "$kvmu" --help
expect 0 "kvmu 0." "$kvmu" --version
expect 125 "no command" "$kvmu"
expect 125 "unknown command 'walk'" "$kvmu" walk
expect 125 "no program" "$kvmu" run
expect 125 "no program" "$kvmu" run --stats --
expect 125 "unknown option '--fast'" "$kvmu" run --fast -- true
expect 127 "not found" "$kvmu" run -- no-such-program
expect 127 "not found" "$kvmu" run -- "$work/none"
expect 126 "cannot be executed" "$kvmu" run -- /etc/passwd
expect 126 "cannot be executed" "$kvmu" run -- /
expect 0 "" "$kvmu" run -- true
expect 0 "" "$kvmu" run true
expect 7 "" "$kvmu" run -- sh -c 'exit 7'
expect 137 "" sh -c "\"$kvmu\" run -- sh -c 'kill -9 \$\$'; exit \$?"
expect 0 "--stats" "$kvmu" run -- echo --stats
expect 0 "there" "$kvmu" run -- sh -c '[ -e /dev/kvm ] && [ -r /dev/kvm ] && echo there'

# An ELF file without a dynamic linker, where the compiler can make one.
if cc -static -o "$work/static" -x c - 2>/dev/null <<'EOF'
int main(void) { return 0; }
EOF
then
	expect 125 "statically linked" "$kvmu" run -- "$work/static"
fi

expect 0 "RET_PF_FIXED" "$kvmu" run --stats -- "$program"
# A child has its own, and one that made no VM has none.
expect 0 "kvmu: process" "$kvmu" run --stats -- sh -c "\"$program\"; true"
"$kvmu" run --stats -- true 2>&1 | grep -q kvmu && {
	echo "FAILED: statistics without a VM"
	failures=$((failures + 1))
}
"$kvmu" run -- "$program" 2>&1 | grep -q "kvmu: process" && {
	echo "FAILED: statistics that nobody asked for"
	failures=$((failures + 1))
}

# Found through a symbolic link, from another directory.
ln -s "$kvmu" "$work/link"
(cd / && expect 0 "" "$work/link" run -- true; exit $failures) || failures=$((failures + 1))

exit $((failures != 0))
