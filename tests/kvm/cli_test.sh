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
expect 0 "Usage: kvmu run" "$kvmu" run --help
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

# Failures on purpose: what is refused, what is listed, what is told at the end.
expect 2 "no site is called 'nowhere'" "$kvmu" run --inject nowhere -- true
expect 2 "nth is a number" "$kvmu" run --inject memfd:nth=x -- true
expect 2 "needs a value" "$kvmu" run --inject
expect 2 "one SPEC in each" "$kvmu" run --inject "memfd;vm" -- true
expect 0 "memfd_create" "$kvmu" run --inject list
expect 0 "" "$kvmu" run --inject memfd:nth=1000000 -- "$program"
expect 2 "--inject memfd:nth=1" "$kvmu" run --inject memfd:nth=1 -- sh -c ': </dev/kvm'
expect 0 ",seed=" "$kvmu" run --inject memfd:prob=0 -- "$program"
expect 0 "table_page" "$kvmu" run --inject report -- "$program"
"$kvmu" run --inject all -- true 2>&1 | grep -q "table_page" && {
	echo "FAILED: a report of a program that has nothing to do with KVM"
	failures=$((failures + 1))
}
# A trace that cannot be written in one way or another is no reason for the program to fail.
if "$kvmu" run -- sh -c 'echo "$LD_PRELOAD"' >"$work/preload" 2>&1; then
	preload=$(cat "$work/preload")
	for site in trace_key trace_ring trace_thread trace_output summary fork_hooks; do
		for nth in 1 2 3; do
			expect 0 "" env LD_PRELOAD="$preload" KVMU_STATS=1 \
				KVMU_TRACE=kvm_exit,kvm_page_fault KVMU_TRACE_FILE="$work/trace" \
				KVMU_INJECT="$site:nth=$nth" "$program"
		done
		[ "$site" = fork_hooks ] || expect 0 "" env LD_PRELOAD="$preload" KVMU_STATS=1 \
			KVMU_TRACE=kvm_exit,kvm_page_fault KVMU_TRACE_FILE="$work/trace" \
			KVMU_INJECT="$site" "$program"
	done
	expect 1 "Cannot allocate memory" env LD_PRELOAD="$preload" KVMU_INJECT=fork_hooks \
		dd if=/dev/kvm count=1
else
	echo "FAILED: kvmu run -- sh"
	failures=$((failures + 1))
fi

# Found through a symbolic link, from another directory.
ln -s "$kvmu" "$work/link"
(cd / && expect 0 "" "$work/link" run -- true; exit $failures) || failures=$((failures + 1))

exit $((failures != 0))
