#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# All scenarios in N parts on the CPUs of this machine, by GNU parallel, joined at the end.
#   parallel.sh N DIRECTORY SCENARIO...
# The exit code is that of `kvmu explore --merge`: 0 nothing found, 1 a failure.
# KVMU: the command, if it is not in PATH; KVMU_EXPLORE_OPTIONS: more options.
set -eu
parts=$1 directory=$2
shift 2
kvmu=${KVMU:-kvmu}
mkdir -p "$directory"
# A part that finds something ends with 1; the others go on, and the merge tells.
# shellcheck disable=SC2086
seq "$parts" | parallel --will-cite "$kvmu" explore --quiet ${KVMU_EXPLORE_OPTIONS:-} \
	--shard "{}/$parts" --results "$directory/part-{}" "$@" ">$directory/log-{}" || true
exec "$kvmu" explore --merge "$directory"/part-*
