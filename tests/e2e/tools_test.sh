#!/usr/bin/env bash
# The project's own checkers must be able to fail: the test runner, check-deps and check-headers
# are run on small trees that are right and wrong.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

complain() {
	echo "$1"
	sed 's/^/  /' "$work/out"
	bad=1
}

# --- tests/run ---
tree=$work/run
mkdir -p "$tree"/tests/{unit,e2e} "$tree"/build/rel/tests/unit
cp "$NESTOR_SRC/tests/run" "$tree/tests/run"

program() { # NAME BODY: a unit test program as a script
	touch "$tree/tests/unit/$1_test.c"
	printf '#!/bin/sh\n%s\n' "$2" >"$tree/build/rel/tests/unit/$1_test"
	chmod +x "$tree/build/rel/tests/unit/$1_test"
}
script() {
	printf '#!/bin/sh\n%s\n' "$2" >"$tree/tests/e2e/$1_test.sh"
	chmod +x "$tree/tests/e2e/$1_test.sh"
}
expect_run() { # STATUS LAST-LINE [ENV...]
	local want=$1 last=$2 got
	shift 2
	env -u CI "$@" "$tree/tests/run" --timeout 1 >"$work/out" 2>&1
	got=$?
	[ $got = "$want" ] || complain "tests/run: status $got, not $want"
	[ "$(tail -n 1 "$work/out")" = "$last" ] || complain "tests/run: the last line is not '$last'"
}

program good 'echo "1..2"; echo "ok 1 - a"; echo "ok 2 - b"'
script good 'exit 0'
expect_run 0 '3 passed, 0 failed'
script skipped 'echo no terminal; exit 77'
expect_run 0 '3 passed, 0 failed, 1 skipped'
expect_run 1 '3 passed, 1 failed' CI=true
rm "$tree/tests/e2e/skipped_test.sh"
program part 'echo "skip: why"; echo "not ok 1 # SKIP a"; echo "ok 2 - b"'
expect_run 0 '4 passed, 0 failed, 1 skipped'
grep -q '^SKIP unit/part_test: a why$' "$work/out" || complain 'tests/run: a skipped case has no reason'
expect_run 1 '4 passed, 1 failed' CI=true
rm "$tree"/tests/unit/part_test.c
program bad 'echo "not ok 1 - a"; echo "ok 2 - b"; exit 1'
expect_run 1 '4 passed, 1 failed'
program bad 'echo "ok 1 - a"; kill -SEGV $$'
expect_run 1 '4 passed, 1 failed'
program bad 'sleep 20'
expect_run 1 '3 passed, 1 failed'
rm "$tree"/build/rel/tests/unit/bad_test
expect_run 1 '3 passed, 1 failed'
rm "$tree"/tests/unit/bad_test.c
script bad 'echo what went wrong; exit 3'
expect_run 1 '3 passed, 1 failed'
grep -q 'what went wrong' "$work/out" || complain 'tests/run: the log of a failing test is not shown'

# --- check-deps and check-headers ---
tree=$work/deps
mkdir -p "$tree"/{tests,l0/base,l0/arch,l0/mem,l0/exit,vtlb}
cp "$NESTOR_SRC"/tests/check-deps.sh "$NESTOR_SRC"/tests/check-headers.sh "$tree/tests/"
cd "$tree" && git init -q . || exit 1

expect_deps() { # STATUS FILE INCLUDE-LINE
	mkdir -p "$(dirname "$2")"
	echo "$3" >"$2"
	tests/check-deps.sh >"$work/out" 2>&1
	local got=$?
	rm "$2"
	[ $got = "$1" ] || complain "check-deps: '$3' in $2: status $got, not $1"
}
expect_deps 0 l0/base/a.c '#include "l0/base/b.h"'
expect_deps 0 vtlb/a.c '#include "l0/arch/b.h"'
expect_deps 0 l0/exit/a.c '#include "vtlb/b.h"'
expect_deps 1 l0/base/a.c '#include "l0/arch/b.h"'
expect_deps 1 vtlb/a.c '#include "l0/exit/b.h"'
expect_deps 1 l0/mem/a.h '# include "vtlb/b.h"'
expect_deps 1 l0/arch/a.h '#include <stdio.h>'
expect_deps 0 l0/arch/a.h '#include <stdint.h>'
expect_deps 1 l0/mem/a.c '#include "nowhere/b.h"'
expect_deps 1 other/a.c '#include "l0/base/b.h"'
expect_deps 0 tests/unit/a.c '#include "l0/exit/b.h"'

expect_header() { # STATUS TEXT
	printf '%s\n' "$2" >l0/base/a.h
	tests/check-headers.sh l0/base/a.h >"$work/out" 2>&1
	local got=$?
	[ $got = "$1" ] || complain "check-headers: status $got, not $1, for: $2"
}
expect_header 0 '#ifndef L0_BASE_A_H
#define L0_BASE_A_H
int a;
#endif'
expect_header 1 '#ifndef A_H
#define A_H
#endif'
expect_header 1 '#ifndef L0_BASE_A_H
#define L0_BASE_A_H
uint64_t a;
#endif'

exit $bad
