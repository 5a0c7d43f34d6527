/*
 * Pages for the child VMM: a bump allocator over the memory behind the image. Nothing is ever
 * freed: what a run needs is known when it starts. Pages come zeroed.
 */
#ifndef L1_CHILD_VMM_PAGE_H
#define L1_CHILD_VMM_PAGE_H

#include "l1-child/lib/types.h"

/* Memory from start (rounded up) to end, both physical addresses below 4 GiB. */
void page_init(u64 start, u64 end);

/* page_alloc - n contiguous 4 KiB pages, aligned to align bytes (a power of two, 4 KiB or more).
 * Does not return when there is not enough memory. */
void *page_alloc(u64 n, u64 align);

/* Bytes that are left. */
u64 page_left(void);

#endif
