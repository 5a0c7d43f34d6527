# Sourced by the tests here: is a model right, exhaustively, with x86 store buffers, and no longer so when
# any one of its rules is broken?
set -u
cd "$(dirname "$0")" || exit 2
command -v spin >/dev/null || { echo "spin is not installed"; exit 77; }
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
bad=0

# tcc takes a fiftieth of the time that gcc does, which for most of these searches is longer than they are.
quick=$(command -v tcc || echo "${CC:-gcc} -O0")

# errors COMPILER DEPTH MODEL [-D...]: "0" or "1", or "?" when it did not run to its end
errors() {
	local compiler=$1 depth=$2 model=$3
	shift 3
	(
		cd "$dir" && rm -f pan* &&
			spin "$@" -a "$OLDPWD/$model.pml" >spin.log 2>&1 &&
			$compiler -w -DSAFETY -DMEMLIM=4000 -o pan pan.c &&
			./pan -w22 -m"$depth" >pan.log 2>&1 &&
			sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
	) || echo '?'
}

# holds_by COMPILER MODEL [-D...]: no error in any state, and all have been looked at
holds_by() {
	local compiler=$1 got
	shift
	got=$(errors "$compiler" 500000 "$@")
	[ "$got" = 0 ] && grep -qE 'Search not completed|max search depth too small|MEMLIM' "$dir/pan.log" &&
		got="$got, but it did not run to its end"
	[ "$got" = 0 ] &&
		echo "holds:  $*, $(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1 states/p; s/^ *\([0-9.]*\)\ttotal actual memory usage.*/\1 MB/p; s/^pan: elapsed time \(.*\) seconds/in \1 s/p' "$dir/pan.log" |
			tr '\n' ' ')" && return
	echo "FAILED: $* should hold: errors $got"
	bad=1
}
holds() { holds_by "$quick" "$@"; }
# The same for millions of states: less memory and faster code.
holds_large() { holds_by "${CC:-gcc} -O2 -DCOLLAPSE" "$@"; }

# Every BREAK_ rule that the model knows must be found out. Most are not far from the start, so what is near is
# searched first.
breaks() {
	local rule got depth
	for rule in $(grep -o 'BREAK_[A-Z_]*' "$1.pml" | sort -u); do
		[ "$rule" = BREAK_ ] && continue
		for depth in 90 500000; do
			got=$(errors "$quick" $depth "$1" "-D$rule")
			[ "$got" = 0 ] || break
		done
		[ "$got" = 1 ] && echo "caught: $1 $rule" && continue
		echo "FAILED: $1 $rule should be found out: errors $got"
		bad=1
	done
}

# all MODEL…: each in its small configuration, and without each of its rules
all() {
	local model
	for model; do
		holds "$model"
		breaks "$model"
	done
}
