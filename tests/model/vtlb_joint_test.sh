#!/bin/bash
# vtlb_joint_test.sh - the virtual TLB's mechanisms together; retention, coalescing, accessed and dirty bits.
# NESTOR_LONG=1: larger ones too.
# One thread, as no nestor runs at all: not in MODE=tsan.
. "${0%/*}/lib.sh"
all vtlb_joint vtlb_track vtlb_cut vtlb_coalesce vtlb_ad
if [ -n "${NESTOR_LONG:-}" ]; then
	holds_large vtlb_joint -DFILLS=2
	holds_large vtlb_track -DRELEASE
	holds_large vtlb_track -DFILLS=2
	holds_large vtlb_track -DLOADS=2
	holds_large vtlb_ad -DNVP=3
fi
exit $bad
