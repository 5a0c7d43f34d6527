#!/bin/bash
# vtlb_model_test.sh - the virtual TLB's mechanisms, each for itself. NESTOR_LONG=1: larger ones too.
# One thread, as no nestor runs at all: not in MODE=tsan.
. "${0%/*}/lib.sh"
holds vtlb_stamp -DINVALS=1
breaks vtlb_stamp
holds vtlb_share -DFILLS=1
breaks vtlb_share
all vtlb_reclaim vtlb_protect vtlb_infill
holds vtlb_protect -DNVP=3
if [ -n "${NESTOR_LONG:-}" ]; then
	holds_large vtlb_stamp -DINVALS=2
	holds_large vtlb_stamp -DNVP=3 -DINVALS=1 -DWRITES=1 -DFILLS=4
	holds_large vtlb_share
	holds_large vtlb_reclaim -DRECLAIMS=4
	holds_large vtlb_infill -DWRITES=2 -DINVALS=2
fi
exit $bad
