/*
 * Ranges of memory: accesses of a block whose addresses differ by constants are looked up once, for
 * all bytes from the lowest to the highest, where the first of them is. Finds them; emits nothing.
 */
#ifndef L0_JIT_RANGE_H
#define L0_JIT_RANGE_H

#include "l0/jit/select.h"

#define RANGE_MAX 12u /* in a block */

/* What is known of guest registers: each holds an unknown value, by number, plus a constant. */
struct range_values {
	u32 value[GPR_COUNT];
	s64 plus[GPR_COUNT];
	u32 last; /* number given */
	u32 none; /* stands for 0; another one behind each handler */
};

/* A place by unknown values: base + index * scale + offset; index 0: none. */
struct range_place {
	u32 base, index, scale;
	s64 offset;
};

void range_values_begin(struct range_values *v);
/* Operation @op is done. */
void range_values_step(struct range_values *v, const struct op *op, const struct jit_op *j);
/* Where the access of @op that may be part of a range goes. Return: is there one. */
bool range_place_of(const struct range_values *v, const struct op *op, const struct jit_op *j,
		    struct range_place *p);

/* Fill j[].range and j[].sure of a block of 64-bit code. */
void range_find(const struct block *b, struct jit_op *j);

#endif
