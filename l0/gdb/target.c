/*
 * The processor and its memory as gdb sees them. Register numbers follow the target description
 * below: the x86-64 core set, SSE, then segment bases and control registers.
 */
#include <string.h>

#include "l0/arch/x86.h"
#include "l0/base/mem_ops.h"
#include "l0/engine/vec.h"
#include "l0/gdb/gdb_priv.h"
#include "l0/mem/mem.h"

enum {
	REG_RIP = 16,
	REG_EFLAGS = 17,
	REG_SEGS = 18, /* cs ss ds es fs gs */
	REG_ST = 24,
	REG_FCTRL = 32, /* fctrl fstat ftag fiseg fioff foseg fooff fop */
	REG_XMM = 40,
	REG_MXCSR = 56,
	REG_FS_BASE = 57,
	REG_GS_BASE,
	REG_K_GS_BASE,
	REG_CR0,
	REG_CR2,
	REG_CR3,
	REG_CR4,
	REG_CR8,
	REG_EFER,
	REG_COUNT,
};

const char *gdb_target_xml(void)
{
#define R64(n) "<reg name=\"" n "\" bitsize=\"64\" type=\"int64\"/>"
#define R32(n) "<reg name=\"" n "\" bitsize=\"32\" type=\"int32\"/>"
#define ST(n) "<reg name=\"st" n "\" bitsize=\"80\" type=\"i387_ext\"/>"
#define FP(n) "<reg name=\"" n "\" bitsize=\"32\" type=\"int\" group=\"float\"/>"
#define XMM(n) "<reg name=\"xmm" n "\" bitsize=\"128\" type=\"vec128\"/>"
#define SYS(n) "<reg name=\"" n "\" bitsize=\"64\" type=\"uint64\" group=\"system\"/>"
	/* clang-format off */
	return "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
	       "<architecture>i386:x86-64</architecture><feature name=\"org.gnu.gdb.i386.core\">"
	       R64("rax") R64("rbx") R64("rcx") R64("rdx") R64("rsi") R64("rdi")
	       "<reg name=\"rbp\" bitsize=\"64\" type=\"data_ptr\"/><reg name=\"rsp\" bitsize=\"64\" type=\"data_ptr\"/>"
	       R64("r8") R64("r9") R64("r10") R64("r11") R64("r12") R64("r13") R64("r14") R64("r15")
	       "<reg name=\"rip\" bitsize=\"64\" type=\"code_ptr\"/>" R32("eflags") R32("cs") R32("ss") R32("ds")
	       R32("es") R32("fs") R32("gs") ST("0") ST("1") ST("2") ST("3") ST("4") ST("5") ST("6") ST("7")
	       FP("fctrl") FP("fstat") FP("ftag") FP("fiseg") FP("fioff") FP("foseg") FP("fooff") FP("fop")
	       "</feature><feature name=\"org.gnu.gdb.i386.sse\"><vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
	       "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
	       "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
	       "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/><union id=\"vec128\">"
	       "<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
	       "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
	       "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
	       "<field name=\"uint128\" type=\"uint128\"/></union>" XMM("0") XMM("1") XMM("2") XMM("3") XMM("4")
	       XMM("5") XMM("6") XMM("7") XMM("8") XMM("9") XMM("10") XMM("11") XMM("12") XMM("13") XMM("14") XMM("15")
	       "<reg name=\"mxcsr\" bitsize=\"32\" type=\"int\" group=\"vector\"/></feature>"
	       "<feature name=\"org.gnu.gdb.i386.system\">" SYS("fs_base") SYS("gs_base") SYS("k_gs_base") SYS("cr0")
	       SYS("cr2") SYS("cr3") SYS("cr4") SYS("cr8") SYS("efer") "</feature></target>";
	/* clang-format on */
}

static const u8 gpr_order[16] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
				 R8,  R9,  R10, R11, R12, R13, R14, R15};
static const u8 seg_order[6] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};

/* A 64-bit register of the processor, or NULL when it is narrower. */
static u64 *wide_register(struct cpu_state *c, u32 n)
{
	if (n < 16)
		return &c->gpr[gpr_order[n]];
	switch (n) {
	case REG_RIP: return &c->rip;
	case REG_FS_BASE: return &c->seg[SEG_FS].base;
	case REG_GS_BASE: return &c->seg[SEG_GS].base;
	case REG_K_GS_BASE: return &c->kernel_gs_base;
	case REG_CR0: return &c->cr0;
	case REG_CR2: return &c->cr2;
	case REG_CR3: return &c->cr3;
	case REG_CR4: return &c->cr4;
	case REG_CR8: return &c->cr8;
	case REG_EFER: return &c->efer;
	default: return NULL;
	}
}

/* The vector image is parked. Return: size in bytes, 0: no such register. */
static u32 get(const struct gdb_view *view, u32 n, u8 *out)
{
	const struct cpu_state *c = view->cpu;
	const struct vp *vp = view->vp;
	const u8 *vec = c->vec;
	const u64 *wide = wide_register((struct cpu_state *)c, n);

	if (wide) {
		nm_store64(out, *wide);
		return 8;
	}
	if (n >= REG_ST && n < REG_FCTRL) {
		nm_copy(out, vec + 32 + 16 * (n - REG_ST), 10);
		return 10;
	}
	if (n >= REG_XMM && n < REG_MXCSR) {
		nm_copy(out, vec + 160 + 16 * (n - REG_XMM), 16);
		return 16;
	}
	u32 v = 0;
	if (n == REG_EFLAGS)
		v = (u32)c->rflags;
	else if (n >= REG_SEGS && n < REG_ST)
		v = c->seg[seg_order[n - REG_SEGS]].sel;
	else if (n == REG_MXCSR)
		v = nm_load32(vec + 24);
	else if (n == REG_FCTRL)
		v = nm_load16(vec);
	else if (n == REG_FCTRL + 1)
		v = nm_load16(vec + 2);
	else if (n == REG_FCTRL + 2)
		v = vec[4];
	else if (n == REG_FCTRL + 4)
		v = (u32)vp->fpu_ip;
	else if (n == REG_FCTRL + 6)
		v = (u32)vp->fpu_dp;
	else if (n == REG_FCTRL + 7)
		v = vp->fpu_op;
	else if (n >= REG_COUNT)
		return 0;
	nm_store32(out, v);
	return 4;
}

/* Return: bytes taken; 0: cannot be written (segments: their hidden parts would not follow). */
static u32 set(struct vp *vp, u32 n, const u8 *in)
{
	u64 *wide = wide_register(&vp->cpu, n);
	u8 *vec = vp->cpu.vec;

	if (wide) {
		*wide = nm_load64(in);
		return 8;
	}
	if (n >= REG_ST && n < REG_FCTRL)
		nm_copy(vec + 32 + 16 * (n - REG_ST), in, 10);
	else if (n >= REG_XMM && n < REG_MXCSR)
		nm_copy(vec + 160 + 16 * (n - REG_XMM), in, 16);
	else if (n == REG_EFLAGS)
		vp->cpu.rflags = (nm_load32(in) & RFLAGS_DEFINED) | RFLAGS_FIXED;
	else if (n == REG_MXCSR)
		nm_store32(vec + 24, nm_load32(in) & 0xffff);
	else
		return n >= REG_COUNT ? 0 : 4;
	return n >= REG_XMM && n < REG_MXCSR ? 16 : n >= REG_ST && n < REG_FCTRL ? 10 : 4;
}

/* Of a thread that does not execute, its VMM keeps most registers where L0 cannot know: "x" for
 * gdb. */
static bool is_known(const struct gdb_view *view, u32 n)
{
	if (view->live)
		return true;
	if (n < 16)
		return gpr_order[n] == RSP;
	return n < REG_ST ||
	       (n >= REG_FS_BASE && n != REG_K_GS_BASE && n != REG_CR2 && n != REG_CR8);
}

static void out_register(struct gdb *g, const struct gdb_view *view, u32 n)
{
	u8 buf[16];
	u32 size = get(view, n, buf);

	if (is_known(view, n)) {
		gdb_out_hex(g, buf, size);
		return;
	}
	while (size--)
		gdb_out(g, "xx");
}

void gdb_read_registers(struct gdb *g)
{
	struct gdb_view view;

	if (!gdb_view(g, g->thread, &view)) {
		gdb_out(g, "E01");
		return;
	}
	vp_vec_park(view.vp);
	for (u32 n = 0; n < REG_COUNT; n++)
		out_register(g, &view, n);
}

bool gdb_write_registers(struct gdb *g, const char *hex)
{
	struct gdb_view view;
	u8 buf[16];

	if (!gdb_view(g, g->thread, &view) || !view.live)
		return false;
	vp_vec_park(view.vp);
	for (u32 n = 0; n < REG_COUNT; n++) {
		u32 size = get(&view, n, buf);
		if (gdb_parse_hex(hex, buf, size) != size)
			break;
		set(view.vp, n, buf);
		hex += 2 * size;
	}
	engine_state_changed(view.vp);
	return true;
}

bool gdb_read_register(struct gdb *g, u32 n)
{
	struct gdb_view view;

	if (n >= REG_COUNT || !gdb_view(g, g->thread, &view))
		return false;
	vp_vec_park(view.vp);
	out_register(g, &view, n);
	return true;
}

bool gdb_write_register(struct gdb *g, u32 n, const char *hex)
{
	struct gdb_view view;
	u8 buf[16];

	if (!gdb_view(g, g->thread, &view) || !view.live)
		return false;
	vp_vec_park(view.vp);
	u32 size = get(&view, n, buf);
	if (!size || gdb_parse_hex(hex, buf, size) != size)
		return false;
	bool done = set(view.vp, n, buf) != 0;
	engine_state_changed(view.vp);
	return done;
}

/* Machine address of @gva in the thread's address space, whatever its rights; false: not mapped. */
static bool translate(const struct gdb_view *view, u64 gva, struct vtlb_xl *xl)
{
	struct vtlb_fault f;

	return vtlb_peek(&view->tlb, gva, VTLB_READ | VTLB_SYSTEM, xl, &f) == VTLB_OK;
}

bool gdb_read_memory(struct gdb *g, u64 addr, u32 len)
{
	struct gdb_view view;
	u8 buf[4096];
	u32 done = 0;

	if (!gdb_view(g, g->thread, &view))
		return false;
	while (done < len) {
		struct vtlb_xl xl;
		u32 n = (u32)MIN((u64)(len - done), PAGE_SIZE - ((addr + done) & ~PAGE_MASK));
		if (!translate(&view, addr + done, &xl) || mem_read(view.vp->mem, xl.gpa, buf, n))
			break;
		gdb_out_hex(g, buf, n);
		done += n;
	}
	return done != 0 || len == 0;
}

bool gdb_write_memory(struct gdb *g, u64 addr, const u8 *bytes, u32 len)
{
	struct gdb_view view;

	if (!gdb_view(g, g->thread, &view))
		return false;
	for (u32 done = 0; done < len;) {
		struct vtlb_xl xl;
		u32 n = (u32)MIN((u64)(len - done), PAGE_SIZE - ((addr + done) & ~PAGE_MASK));
		if (!translate(&view, addr + done, &xl) ||
		    mem_write(view.vp->mem, xl.gpa, bytes + done, n))
			return false;
		done += n;
	}
	return true;
}
