#include "l0/base/vecguard.h"

#include <cpuid.h>

#include "l0/base/mem_ops.h"

#define XSAVE_HEADER_OFFSET 512
#define XSAVE_HEADER_BYTES 64
#define CPUID_1_ECX_OSXSAVE (1u << 27)

#define HOST_DEFAULT_MXCSR 0x1f80u

static bool host_has_osxsave(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_1_ECX_OSXSAVE);
}

void vecguard_save(struct vecguard *g)
{
	const u32 mxcsr = HOST_DEFAULT_MXCSR;

	g->has_xsave = host_has_osxsave();
	if (g->has_xsave) {
		nm_zero(g->area + XSAVE_HEADER_OFFSET, XSAVE_HEADER_BYTES);
		__asm__ volatile("xsave64 %0"
				 : "+m"(g->area)
				 : "a"(VECGUARD_COMPONENTS), "d"(0)
				 : "memory");
	} else {
		__asm__ volatile("fxsave64 %0" : "=m"(g->area) : : "memory");
	}
	__asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
}

void vecguard_restore(const struct vecguard *g)
{
	if (g->has_xsave)
		__asm__ volatile("xrstor64 %0"
				 :
				 : "m"(g->area), "a"(VECGUARD_COMPONENTS), "d"(0)
				 : "memory");
	else
		__asm__ volatile("fxrstor64 %0" : : "m"(g->area) : "memory");
}
