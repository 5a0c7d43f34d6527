#!/usr/bin/env bash
# Everything of VMX that the default processor announces is exercised by the VMX tests: each control is
# 1 at some entry, each exit comes, each VM-instruction error is given. Entry checks: those that read
# MSR lists here, the others each have a case that fails it in unit/checks_test, which says so when one
# has none. The table goes to vmx-coverage.txt beside the test programs.
set -u
images=$NESTOR_BUILD/tests/nested
table=$NESTOR_BUILD/vmx-coverage.txt

# What one processor alone cannot bring about, and the test that does.
elsewhere='exit SIPI unit/nested_test'

for run in 'vmx.elf --append=' 'vmxfuzz.elf --append=seed=1 n=1000'; do
	"$NESTOR" run --clock virtual --timeout $((120 * ${NESTOR_PATIENCE:-1}))s --vmx-coverage "$images/${run%% *}" "${run#* }" 2>&1 </dev/null
done | grep '^vmx-coverage ' | awk -v elsewhere="$elsewhere" '
	BEGIN { split(elsewhere, e, " "); other[e[1] " " e[2]] = e[3] }
	{ k = $2 " " $3; if (!(k in n)) order[++keys] = k; n[k] += $4 }
	END {
		for (i = 1; i <= keys; i++) {
			k = order[i]
			split(k, w, " ")
			by = n[k] ? "nested/vmx_test, nested/fuzz_test" : other[k]
			if (by == "" && w[1] == "check" && w[2] !~ /^MSR_/)
				by = "unit/checks_test"
			printf "%-8s %-32s %10d  %s\n", w[1], w[2], n[k], by == "" ? "NOT EXERCISED" : by
		}
	}' >"$table"

lines=$(wc -l <"$table")
[ "$lines" -ge 250 ] || { echo "$table: only $lines lines"; exit 1; }
if grep 'NOT EXERCISED' "$table"; then
	echo "announced, but no test exercises it"
	exit 1
fi
