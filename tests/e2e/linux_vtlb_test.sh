#!/usr/bin/env bash
# Every mechanism of the virtual TLB at work in one recorded run: Debian on two threads with little memory, its
# kernel's tables apart from the user's (so that shadow page tables come to be shared later than made), a large
# page formed and split, a guest of its KVM. Each has been counted and each decision is an event. Parts that are
# left out do nothing, and all goes on without them.
. "$(dirname "$0")/linux/lib.sh"

for program in kvm_one large_page; do
	gcc -O1 -static -o "$work/$program" "$here/$program.c" || fail "$program.c"
done
initrd vtlb "$work/kvm_one" "$work/large_page" <<'S'
load irqbypass kvm kvm-intel
mkdir /tmp; for i in 1 2 3 4 5 6; do ls -lR /m /proc/self >/tmp/$i & done; wait
large_page
kvm_one
poweroff -f
S

# nestor_run COMMAND… : Debian by that, the kernel's own tables kept apart
nestor_run() {
	timeout 100 "$nestor" "$@" --stats --cpus 2 --memory 512M --kernel "$vmlinuz" --initrd "$work/vtlb.gz" \
		--append 'console=ttyS0 pti=on' >"$work/out" 2>"$work/err" </dev/null
	status=$?
	tr -d '\r' <"$work/out" >"$work/out.txt"
	expect "$*" 'large page: 0 wrong' '^4$' 'the guest of the guest halted'
}
# counters CONDITION NAME…: values as awk sees them
counters() {
	local condition=$1 n
	shift
	for n; do
		awk -v name="vtlb.$n" '$2 == name { found = 1; exit !($3 '"$condition"') } END { if (!found) exit 1 }' "$work/err" ||
			fail "counter $n is not $condition: $(grep "vtlb.$n " "$work/err")"
	done
}

nestor_run record -o "$work/trace" --clock host --workers 2 --vtlb-memory 1M --vtlb-nodes 2
# C1, C2 and C9, C3, C4, C5, C6, C7, C8, C10, C11
counters '> 0' fills refills page_invalidations passes protects protects_deferred spts_limit spt_evictions coalesced \
	shared_tops shared_links flushes spt_local gpts_tracked gpt_writes gpt_purged refresh_steps refreshed
babeltrace2 "$work/trace" >"$work/events" 2>"$work/bt" || fail 'the trace cannot be read'
for event in 'tlb_fill:.* bytes = 4096' 'tlb_fill:.* bytes = 2097152' 'tlb_flush:.*"page"' 'tlb_flush:.*"pcid"' \
	'tlb_flush:.*"ept-root"' 'tlb_protect:.* deferred = 1' 'spt_evict:.* waiting = [1-9]' 'tlb_share:.* coalesced = 0' \
	'tlb_share:.* coalesced = 1' 'spt_alloc:.* node = 1, from_node = 1' gpt_track: tlb_refresh: \
	'tlb_machine:.*name = "gpt_purged"' tlb_stats:; do
	grep -q "nestor:$event" "$work/events" || fail "no event $event: $(grep -m 1 "nestor:${event%%:*}" "$work/events")"
done

nestor_run run --clock virtual --vtlb-without retention,sharing,refresh,lock-free
counters '== 0' coalesced shared_tops shared_links gpts_tracked gpt_purged refresh_steps refreshed
counters '> 0' fills flushes protects large_splits large_forms
