#!/usr/bin/env bash
# Real systems with everything that translated code does compared with the interpreter (--engine check):
# Debian's kernel boots to user space, and loads its KVM and runs a guest. Again with so little memory
# for translated code that it is emptied all the time, on one processor compared, on four as it is.
. "$(dirname "$0")/../e2e/linux/lib.sh"
[ "${NESTOR_MODE:-rel}" != tsan ] || { echo 'SKIP check: this build has no translator'; exit 0; }

gcc -O1 -static -o "$work/kvm_one" "$here/kvm_one.c" || fail 'kvm_one.c'
initrd kvm "$work/kvm_one" <<'S'
echo "processors: $(grep -c ^processor /proc/cpuinfo)"
load irqbypass kvm kvm-intel && kvm_one
dmesg -r | grep '^<[0-4]>'
poweroff -f
S

# the engine's own tests and random code with the tier under the check, everything translated at once
programs=$(dirname "$nestor")/tests
[ -x "$programs/diff/insn_test" ] || programs=$here/../../../build/rel/tests
for t in "$programs"/{unit/engine_*,unit/vec,diff/insn,diff/sequence}_test; do
	NESTOR_ENGINE=check NESTOR_JIT_HEAT=1 NESTOR_CASES=100000 timeout 600 "$t" >"$work/out.txt" 2>&1 ||
		fail "$(basename "$t") under the check"
done
echo 'ok check/engine-tests'

# compared WHAT OPTIONS…: no difference, the same output as the interpreter gives
compared() {
	local what=$1
	shift
	timeout 7200 "$nestor" run --memory 512M --kernel "$vmlinuz" --initrd "$work/kvm.gz" --append console=ttyS0 \
		--stats "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	tr -d '\r' <"$work/out" >"$work/out.txt"
	grep -A 40 'the interpreter differ' "$work/err" && fail "$what: a difference"
	expect "$what" 'the guest of the guest halted'
	expect_no_warnings "$what"
	grep -E 'check_(stretches|insns|alone)|code_flushes' "$work/err"
	echo "ok check/$what"
}

# The same at the same virtual time: the kernel's own time stamps, and every architectural event of the trace.
engine_events=$(sed -n 's/^EVENT(\([a-z_]*\), ENGINE,.*/\1/p' "$here/../../../l0/arch/events.def" | paste -sd '|')
events_of() { # NAME OPTIONS…
	timeout 7200 "$nestor" record --clock virtual --memory 512M --kernel "$vmlinuz" --initrd "$work/kvm.gz" --append console=ttyS0 \
		${CHECK_FOR:+--for "$CHECK_FOR"} -o "$work/trace.$1" "${@:2}" >"$work/$1.out" 2>"$work/err" </dev/null
	babeltrace2 "$work/trace.$1" 2>"$work/err" | sed 's/^[^{]*nestor:/nestor:/; s/{ cpu_id = [0-9]* }, //; s/, host_[a-z_]* = [0-9]*//g' |
		grep -v -E "^nestor:($engine_events):" >"$work/$1.arch"
	rm -rf "$work/trace.$1"
}
for cpus in 1 2; do
	events_of interp --engine interp --cpus $cpus
	events_of jit --engine jit --cpus $cpus
	[ "$(wc -l <"$work/interp.arch")" -gt 1000 ] || fail "hardly any events: $(wc -l <"$work/interp.arch")"
	cmp "$work/interp.arch" "$work/jit.arch" || fail "$cpus processors: the engines' events differ"
	cmp "$work/interp.out" "$work/jit.out" || fail "$cpus processors: the engines' outputs differ"
	echo "ok check/same-times-$cpus: $(wc -l <"$work/jit.arch") events, $(md5sum <"$work/jit.arch")"
done

compared interpreted --clock virtual --engine interp
cp "$work/out" "$work/first"
compared kvm --engine check
cmp -s "$work/first" "$work/out" || fail 'the engines give different outputs'
compared tiny --engine check --jit-memory 256K
cmp -s "$work/first" "$work/out" || fail 'a tiny arena gives another output'
compared 4-processors --cpus 4 --workers 2 --clock host --jit-memory 256K
