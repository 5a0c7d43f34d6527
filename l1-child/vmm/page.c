#include "l1-child/vmm/page.h"

#include "l1-child/lib/console.h"
#include "l1-child/lib/str.h"

static u64 next, limit;

void page_init(u64 start, u64 end)
{
	next = ALIGN_UP(start, PAGE_SIZE);
	limit = ALIGN_DOWN(end, PAGE_SIZE);
}

void *page_alloc(u64 n, u64 align)
{
	u64 at = ALIGN_UP(next, align);

	if (at > limit || (limit - at) / PAGE_SIZE < n)
		con_die("out of memory: %lu KiB more wanted, %lu KiB left; give the machine more "
			"or "
			"the guests less (mem=)",
			n * 4, (limit - next) / 1024);
	next = at + n * PAGE_SIZE;
	return memset((void *)at, 0, n * PAGE_SIZE);
}

u64 page_left(void)
{
	return limit - next;
}
