#!/usr/bin/env bash
# Proves the dependency table of docs/architecture.md: every #include "..." of every .c, .h and
# .def stays inside what its directory's row may use. A row may use its own directory, the rows it
# names and, through them, what those may use.
set -u
cd "$(dirname "$0")/.." || exit 2

# directory : rows it may include
table='
l0/base      :
l0/arch      : l0/base
l0/time      : l0/base
trace        : l0/arch l0/time
trace/model  : l0/arch l0/symbols
trace/bt2    : trace/model
l0/mem       : trace
vtlb         : l0/mem
shadow-vmcs  : l0/mem
l0/engine    : vtlb
l0/jit       : l0/engine
l0/dev       : l0/mem
l0/boot      : l0/mem
l0/symbols   : l0/base
l0/track     : trace
l0/sched     : l0/track
l0/exit      : l0/engine shadow-vmcs l0/dev l0/track
l0/gdb       : l0/exit
l0/lab       : l0/base
l0           : l0/arch l0/time trace l0/mem vtlb shadow-vmcs l0/engine l0/jit l0/dev l0/boot l0/symbols l0/track l0/sched l0/exit l0/gdb l0/lab l0/cmd
l0/cmd       : l0 viewer trace/bt2
viewer       : trace/model
l1-child     : l0/arch
'

git ls-files -co --exclude-standard '*.c' '*.h' '*.def' '*.S' | awk -v table="$table" '
function add_closure(row, dep,    n, i, parts) {
	if ((row, dep) in may)
		return
	may[row, dep] = 1
	n = split(direct[dep], parts, " ")
	for (i = 1; i <= n; i++)
		add_closure(row, parts[i])
}
# the longest row that is a prefix of the path
function row_of(path,    dir) {
	dir = path
	while (sub("/[^/]*$", "", dir))
		if (dir in direct)
			return dir
	return path ~ /\// ? "?" : ""
}
BEGIN {
	n = split(table, lines, "\n")
	for (i = 1; i <= n; i++) {
		if (split(lines[i], half, ":") < 2)
			continue
		gsub(/ /, "", half[1])
		direct[half[1]] = half[2]
		rows[++nrows] = half[1]
	}
	for (i = 1; i <= nrows; i++) {
		add_closure(rows[i], rows[i])
	}
	status = 0
}
{
	file = $0
	if (file ~ /^tests\//)
		next
	row = row_of(file)
	if (row == "?") {
		printf "check-deps: %s: its directory is not in the table\n", file
		status = 1
		next
	}
	lineno = 0
	while ((getline line < file) > 0) {
		lineno++
		if (line !~ /^[ \t]*#[ \t]*include[ \t]*"/) {
			# freestanding headers may use only what the compiler itself brings
			if (file ~ /^l0\/arch\/.*\.h$/ && line ~ /^[ \t]*#[ \t]*include[ \t]*</ &&
			    line !~ /<(stdint|stddef|stdbool|limits|stdarg)\.h>/) {
				printf "check-deps: %s:%d: l0/arch is freestanding: %s\n", file, lineno, line
				status = 1
			}
			continue
		}
		split(line, q, "\"")
		target = q[2]
		# a bare name is a file beside the including one
		trow = target ~ /\// ? row_of(target) : row
		if (!((row, trow) in may)) {
			printf "check-deps: %s:%d: %s may not include %s\n", file, lineno, row, target
			status = 1
		}
	}
	close(file)
}
END { exit status }
'
