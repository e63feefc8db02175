#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# No schedule of any scenario breaks the MMU: the first ones of each, and random ones.
set -eu
explorer=$1
scenarios=$2
exec "$explorer" --max "${KVMU_EXPLORE_MAX:-10000}" --random 1000 "$scenarios"/*.scn
