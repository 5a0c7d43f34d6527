#!/usr/bin/env bash
# tests/long/perf.sh - Debian's own perf in a Debian guest: perf stat counts cycles, instructions, branches and
# branch-misses of a program whose numbers are known, under both engines; cache events are not supported, or told,
# and perf record finds the function that the time goes to.
NESTOR=${1:-${NESTOR:-$(dirname "$0")/../../nestor}}
. "$(dirname "$0")/../e2e/linux/lib.sh"
LOOPS=3000000

# perf and the libraries that it names, from packages in the cache
exec 9>"$cache/lock"
flock 9
packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
	linux-perf 2>/dev/null | grep -E '^(lib|zlib1g|linux-perf)' | sort -u)
folders=
for p in ${packages:-linux-perf}; do
	f=$(unpacked "$p" 2>/dev/null) && folders="$folders $f"
done
exec 9>&-
perf=$(find $folders -path '*/bin/perf*' -type f -size +1M 2>/dev/null | head -n 1)
[ -n "$perf" ] || give_up linux-perf
root=$work/root.perf
mkdir -p "$root/lib" "$root/lib64" "$root/bin"
cp "$perf" "$root/bin/perf"
need=("$root/bin/perf")
while [ ${#need[@]} -gt 0 ]; do
	file=${need[0]}
	need=("${need[@]:1}")
	for so in $(readelf -d "$file" 2>/dev/null | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p'); do
		[ ! -e "$root/lib/$so" ] || continue
		from=$(find $folders -name "$so" 2>/dev/null | head -n 1)
		[ -n "$from" ] || give_up "$so, which perf needs"
		cp -L "$from" "$root/lib/$so"
		need+=("$root/lib/$so")
	done
done
cp "$root/lib/ld-linux-x86-64.so.2" "$root/lib64/"

# three instructions a round, of which one is a branch that is taken
cat >"$work/loop.c" <<C
__attribute__((noinline)) void hot(unsigned long n) { __asm__ volatile("1: nop; dec %0; jnz 1b" : "+r"(n)); }
int main(void) { hot($LOOPS); return 0; }
C
gcc -O1 -static -o "$work/loop" "$work/loop.c" || fail loop.c
initrd perf "$work/loop" <<'S'
export LD_LIBRARY_PATH=/lib
mkdir -p /tmp /root
stat() { perf stat -x, "$@" 2>&1 | sed 's/^/stat /'; }
stat -e cycles:u,instructions:u,branches:u,branch-misses:u loop
stat -e cache-references,cache-misses,LLC-loads loop
stat -e L1-dcache-loads loop
stat -e instructions -a sleep 0.01
perf stat loop 2>&1 | sed 's/^/plain /'
perf record -q -e instructions:u -c 100000 -o /tmp/data loop && perf report -i /tmp/data --stdio 2>/dev/null | sed 's/^/report /'
poweroff -f
S

value() { sed -n "s/^stat \([0-9]*\),,$1,.*/\1/p" "$work/out.txt" | head -n 1; }
near() { # EVENT FROM TO
	local v
	v=$(value "$1")
	[ -n "$v" ] && [ "$v" -ge "$2" ] && [ "$v" -le "$3" ] || fail "$options: $1 is '$v', not from $2 to $3"
}
for options in '--clock virtual --engine jit' '--clock virtual --engine interp' '--clock host'; do
	# shellcheck disable=SC2086
	boot perf --memory 1G $options </dev/null
	expect "$options" 'Performance counter stats for'
	near instructions:u $((3 * LOOPS)) $((3 * LOOPS + 300000))
	near branches:u $LOOPS $((LOOPS + 60000))
	near branch-misses:u 1 60000
	near cycles:u 1000000 100000000
	for e in cache-references cache-misses LLC-loads; do
		grep -q "^stat <not supported>,,$e," "$work/out.txt" || fail "$options: $e is counted, or said to be"
	done
	# an event of the model's own, of which the kernel cannot know: 0, and told
	grep -q '^stat 0,,L1-dcache-loads,' "$work/out.txt" || fail "$options: L1-dcache-loads are counted"
	[ "$(grep -c 'performance event 0x81d0 is not counted' "$work/err")" = 1 ] || fail "$options: nothing tells that L1-dcache-loads are not counted"
	grep -q '^report  *\(9[0-9]\|100\)\.[0-9]*% *loop .* hot *$' "$work/out.txt" || fail "$options: perf record does not find the loop"
	grep '^plain .*\(instructions\|branches\|branch-misses\|cycles\)' "$work/out.txt" | sed "s/^plain/$options:/"
done
echo 'ok perf'
