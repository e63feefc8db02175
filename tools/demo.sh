#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What `make run` shows, after the build: an ordinary KVM program of ours, then
# the kernel's own demand_paging_test, both on kvmu's /dev/kvm.
#   tools/demo.sh [build directory]
set -eu

cd "$(dirname "$0")/.."
build=${1:-build}
selftests=$build/selftests-6.12

say() {
	printf '\n== %s\n' "$1"
	shift
	for line in "$@"; do printf '   %s\n' "$line"; done
	printf '\n'
}

# Show the command as a reader would type it, then run it.
show() {
	printf '$ %s\n' "$*"
	"$@"
}

say 'An ordinary KVM program (examples/demand_paging_walk.c) under kvmu' \
	'It opens /dev/kvm and knows nothing of kvmu. There is no hardware behind it:' \
	'a software CPU runs the guest, and every page fault is served by our MMU.'
show "$build/kvmu" run --stats -- "$build/examples/demand_paging_walk"

say "The kernel's own demand_paging_test (Linux 6.12), unmodified, under kvmu" \
	"It is built now from Debian's package linux-source-6.12; 1 GiB of guest memory."
tools/selftests.py --out "$selftests"
show "$build/kvmu" run --stats -- "$selftests/demand_paging_test"

say 'Both ran to the end with exit code 0.' \
	"Yours next:  $build/kvmu run -- PROGRAM ARGS      (also: make test, make bench, make help)"
