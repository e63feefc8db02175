#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# One part for each task of a Slurm array, results in a directory that all nodes see:
#
#   mkdir results
#   sbatch --array=1-64 slurm.sh results unmap_meets_fault slot_move
#   kvmu explore --merge results/part-*        # when all have ended
#
#SBATCH --job-name=kvmu-explore
#SBATCH --cpus-per-task=1
#SBATCH --mem=512M
#SBATCH --time=12:00:00
set -eu
directory=$1
shift
# shellcheck disable=SC2086
exec "${KVMU:-kvmu}" explore --quiet ${KVMU_EXPLORE_OPTIONS:---bound 4 --random 1000000} \
	--shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
	--results "$directory/part-$SLURM_ARRAY_TASK_ID" "$@"
