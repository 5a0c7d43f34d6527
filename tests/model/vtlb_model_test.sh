#!/bin/bash
# vtlb_model_test.sh - the virtual TLB's protocol, exhaustively, with x86 store buffers: each model
# holds, and no longer holds when any one of its rules is broken. NESTOR_LONG=1: larger ones too.
set -u
cd "$(dirname "$0")" || exit 2
command -v spin >/dev/null || { echo "spin is not installed"; exit 77; }
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
bad=0

# errors OPTIONS MODEL [-D...]: "0" or "1", or "?" when it did not run to its end
errors() {
	local options=$1 model=$2
	shift 2
	(
		cd "$dir" && rm -f pan* &&
			spin "$@" -a "$OLDPWD/$model.pml" >spin.log 2>&1 &&
			${CC:-gcc} -w -DSAFETY $options -DMEMLIM=4000 -o pan pan.c &&
			./pan -m500000 >pan.log 2>&1 && ! grep -q 'max search depth too small' pan.log &&
			sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
	) || echo '?'
}

holds() {
	local got
	got=$(errors "-O1 -DCOLLAPSE" "$@")
	[ "$got" = 0 ] && echo "holds:  $*" && return
	echo "FAILED: $* should hold: errors $got"
	bad=1
}

# Every BREAK_ rule that the model knows must be found out. (The other order of search finds them sooner.)
breaks() {
	local rule got
	for rule in $(grep -o 'BREAK_[A-Z_]*' "$1.pml" | sort -u); do
		[ "$rule" = BREAK_ ] && continue
		got=$(errors "-O0 -DREVERSE -DT_REVERSE" "$1" "-D$rule")
		[ "$got" = 1 ] && echo "caught: $1 $rule" && continue
		echo "FAILED: $1 $rule should be found out: errors $got"
		bad=1
	done
}

holds vtlb_stamp -DINVALS=1
holds vtlb_reclaim
holds vtlb_share
holds vtlb_protect
holds vtlb_protect -DNVP=3
holds vtlb_track
holds vtlb_cut
holds vtlb_infill
if [ -n "${NESTOR_LONG:-}" ]; then
	holds vtlb_stamp -DINVALS=2
	holds vtlb_stamp -DNVP=3 -DINVALS=1 -DWRITES=1
	holds vtlb_reclaim -DRECLAIMS=4
	holds vtlb_track -DRELEASE
	holds vtlb_infill -DWRITES=2 -DINVALS=2
	holds vtlb_track -DWRITES=2 -DLOADS=2 -DFILLS=2
fi
breaks vtlb_stamp
breaks vtlb_reclaim
breaks vtlb_protect
breaks vtlb_share
breaks vtlb_track
breaks vtlb_cut
breaks vtlb_infill
exit $bad
