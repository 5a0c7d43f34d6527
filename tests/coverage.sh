#!/usr/bin/env bash
# coverage.sh DIR - after a run of the tests with MODE=cov: covered lines of each directory.
set -u
root=$(cd "$1" && pwd) || exit 2
find "$root/obj" -name '*.gcda' -print0 | sort -z |
	xargs -0 -r -n 1 gcov --no-output 2>/dev/null |
	awk '
	/^File / { file = $2; gsub(/\x27/, "", file); next }
	/^Lines executed:/ {
		split($0, part, /[:%]/)
		if (file ~ /^\// || file ~ /^tests\//) next
		lines = $NF
		dir = file; sub(/\/[^\/]*$/, "", dir)
		all[dir] += lines; hit[dir] += lines * part[2] / 100
		file = "/"
	}
	END {
		for (d in all) printf "%5.1f %% of %6d lines  %s\n", 100 * hit[d] / all[d], all[d], d | "sort -k 6"
	}'
