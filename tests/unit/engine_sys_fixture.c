#include <stdlib.h>
#include <string.h>
#include "tests/unit/engine_sys_fixture.h"
#include "tests/unit/engine_tier.h"
#include "l0/engine/vec.h"

#define RAM_BYTES (8 * MIB)

static struct sysfix *of(struct vp *vp)
{
	return container_of(vp, struct sysfix, vp);
}

static int fix_ack(struct vp *vp)
{
	struct sysfix *f = of(vp);
	int v = f->irq;

	f->irq = -1;
	vp_request_clear(vp, VP_ATTN_INTR);
	return v;
}
static u64 fix_tsc(struct vp *vp)
{
	return of(vp)->tsc + vp->insns;
}
static void fix_set_tpr(struct vp *vp, u8 tpr)
{
	of(vp)->tpr = tpr;
}
static u8 fix_get_tpr(struct vp *vp)
{
	return of(vp)->tpr;
}
static const struct vp_ops ops = {
	.intr_ack = fix_ack, .tsc = fix_tsc, .set_tpr = fix_set_tpr, .get_tpr = fix_get_tpr};

static u32 port_read(void *dev, u16 port, unsigned int size)
{
	return ((struct sysfix *)dev)->port_in;
}
static void port_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct sysfix *f = dev;

	if (f->port_writes < ARRAY_SIZE(f->port_log))
		f->port_log[f->port_writes] = (value & 0xffff) | (u32)port << 16;
	f->port_writes++;
}
static const struct port_ops port_ops = {.read = port_read, .write = port_write};

static u64 fix_now(struct trace_ctx *ctx)
{
	return 0;
}

static const struct cpu_features default_features = {
	.cr4_valid = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE |
		     CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_VMXE | CR4_FSGSBASE |
		     CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP,
	.efer_valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
	.xcr0_valid = XCR0_X87 | XCR0_SSE | XCR0_AVX,
	.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = CR4_VMXE,
	.cr4_fixed1 = ~0ull,
	.maxphyaddr = 40,
	.linaddr_bits = 48,
	.has_syscall = true,
	.has_nx = true,
	.has_1g = true,
	.has_pcid = true,
	.has_invpcid = true,
	.has_rdtscp = true,
	.has_fsgsbase = true,
	.has_movbe = true,
	.has_smep = true,
	.has_smap = true,
	.has_umip = true,
	.has_rdrand = true,
	.has_rdseed = true,
	.has_xsave = true,
	.has_avx = true,
	.has_vmx = true,
	.has_monitor = true,
	.has_clflushopt = true,
	.has_rdpid = true,
};

struct sysfix *sysfix_create(void)
{
	struct sysfix *f = aligned_alloc(64, ALIGN_UP(sizeof(*f), 64));
	struct vtlb_config cfg = {.max_bytes = 4 * MIB,
				  .max_vps = 1,
				  .maxphyaddr = 40,
				  .has_1g_pages = true,
				  .ept_caps = ~0ull};
	int err = 0;

	memset(f, 0, sizeof(*f));
	f->mem = mem_create(RAM_BYTES, &err);
	f->vtlb = f->mem ? vtlb_create(f->mem, &cfg, &err) : NULL;
	if (!f->vtlb || vec_init())
		abort();
	mem_add_ports(f->mem, "test", 0, 0x10000, &port_ops, f);
	f->features = default_features;
	f->vp.mem = f->mem;
	f->vp.features = &f->features;
	f->vp.ops = &ops;
	f->trace.now = fix_now;
	f->vp.trace = &f->trace;
	f->vp.tlb.trace = &f->trace;
	if (vtlb_vp_init(f->vtlb, &f->vp.tlb, 0) || engine_vp_init(&f->vp, 1 * MIB))
		abort();
	if (tier_is_jit())
		(void)tier_attach(&f->vp, 0);
	sysfix_reset(f);
	return f;
}

void sysfix_destroy(struct sysfix *f)
{
	jit_detach(&f->vp);
	engine_vp_fini(&f->vp);
	vtlb_vp_fini(&f->vp.tlb);
	vtlb_destroy(f->vtlb);
	mem_destroy(f->mem);
	free(f);
}

/* --- guest memory ----------------------------------------------------------------------------- */

void sysfix_bytes(struct sysfix *f, u64 at, const void *bytes, u64 n)
{
	if (mem_write(f->mem, at, bytes, n))
		abort();
}

void sysfix_code(struct sysfix *f, u64 at, const u8 *begin, const u8 *end)
{
	sysfix_bytes(f, at, begin, (u64)(end - begin));
}

u64 sysfix_peek(struct sysfix *f, u64 at, u32 size)
{
	u64 v = 0;

	if (mem_read(f->mem, at, &v, size))
		abort();
	return v;
}

void sysfix_poke(struct sysfix *f, u64 at, u64 val, u32 size)
{
	sysfix_bytes(f, at, &val, size);
}

u64 sysfix_desc(u32 base, u32 limit, u32 ar)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(ar & 0xff) << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)(ar >> 12 & 0xf) << 52 |
	       (u64)(base >> 24) << 56;
}

void sysfix_gdt(struct sysfix *f, u16 sel, u64 desc)
{
	sysfix_poke(f, AT_GDT + (sel & ~7u), desc, 8);
}

void sysfix_gate32(struct sysfix *f, u32 vector, u16 sel, u32 off, u32 type, u32 dpl)
{
	sysfix_poke(f, AT_IDT + vector * 8,
		    (off & 0xffff) | (u64)sel << 16 | (u64)(0x80 | dpl << 5 | type) << 40 |
			    (u64)(off >> 16) << 48,
		    8);
}

void sysfix_gate64(struct sysfix *f, u32 vector, u16 sel, u64 off, u32 type, u32 dpl, u32 ist)
{
	sysfix_poke(f, AT_IDT + vector * 16,
		    (off & 0xffff) | (u64)sel << 16 | (u64)ist << 32 |
			    (u64)(0x80 | dpl << 5 | type) << 40 | (off >> 16 & 0xffff) << 48,
		    8);
	sysfix_poke(f, AT_IDT + vector * 16 + 8, off >> 32, 8);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void fill_gdt(struct sysfix *f, bool lng)
{
	u8 zero[GDT_LIMIT + 1] = {0};

	sysfix_bytes(f, AT_GDT, zero, sizeof(zero));
	sysfix_gdt(f, S_CODE32, sysfix_desc(0, 0xfffff, 0xc09b));
	sysfix_gdt(f, S_DATA32, sysfix_desc(0, 0xfffff, 0xc093));
	sysfix_gdt(f, S_CODE16, sysfix_desc(0, 0xffff, 0x009b));
	sysfix_gdt(f, S_DATA16, sysfix_desc(0, 0xffff, 0x0093));
	sysfix_gdt(f, S_CODE64, sysfix_desc(0, 0xfffff, 0xa09b));
	sysfix_gdt(f, S_UCODE32, sysfix_desc(0, 0xfffff, 0xc0fb));
	sysfix_gdt(f, S_UDATA32, sysfix_desc(0, 0xfffff, 0xc0f3));
	sysfix_gdt(f, S_UCODE64, sysfix_desc(0, 0xfffff, 0xa0fb));
	sysfix_gdt(f, S_TSS, sysfix_desc(AT_TSS, 0x3ff, 0x0089));
	if (!lng)
		sysfix_gdt(f, S_TSS2, sysfix_desc(AT_TSS2, 0x67, 0x0089));
	sysfix_gdt(f, S_CONFORMING, sysfix_desc(0, 0xfffff, 0xc09f));
	sysfix_gdt(f, S_LDT, sysfix_desc(AT_GDT, GDT_LIMIT, 0x0082));
	sysfix_gdt(f, S_TSS16, sysfix_desc(AT_TSS16, 0x2b, 0x0081));
	sysfix_gdt(f, S_TASKGATE, (u64)S_TSS2 << 16 | 0xe5ull << 40);
	sysfix_gdt(f, S_ABSENT, sysfix_desc(0, 0xfffff, 0xc013));
	sysfix_gdt(f, S_CODE32_1, sysfix_desc(0, 0xfffff, 0xc0bb));
	sysfix_gdt(f, S_DATA32_1, sysfix_desc(0, 0xfffff, 0xc0b3));
	sysfix_gdt(f, S_RDONLY, sysfix_desc(0, 0xfffff, 0xc091));
	sysfix_gdt(f, S_EXECONLY, sysfix_desc(0, 0xfffff, 0xc099));
	sysfix_gdt(f, S_CONFORMING64, sysfix_desc(0, 0xfffff, 0xa09f));
}

static void fill_handlers(struct sysfix *f)
{
	for (u32 v = 0; v < 256; v++)
		sysfix_poke(f, AT_HANDLERS + v * 16, 0xf4, 1);
}

static void fill_pages(struct sysfix *f)
{
	sysfix_poke(f, AT_PML4, AT_PDPT | 7, 8);
	sysfix_poke(f, AT_PDPT, AT_PD | 7, 8);
	for (u64 i = 0; i < 512; i++)
		sysfix_poke(f, AT_PD + i * 8, i * PAGE_SIZE_2M | 0x87, 8);
}

static void fill_tss(struct sysfix *f, bool lng)
{
	u8 zero[0x400] = {0};

	sysfix_bytes(f, AT_TSS, zero, sizeof(zero));
	sysfix_bytes(f, AT_TSS2, zero, sizeof(zero));
	sysfix_bytes(f, AT_TSS16, zero, sizeof(zero));
	if (lng) {
		sysfix_poke(f, AT_TSS + 4, STACK_TSS0, 8);
		sysfix_poke(f, AT_TSS + 36, STACK_IST1, 8);
	} else {
		sysfix_poke(f, AT_TSS + 4, STACK_TSS0, 4);
		sysfix_poke(f, AT_TSS + 8, S_DATA32, 4);
		sysfix_poke(f, AT_TSS + 12, STACK_TSS1, 4);
		sysfix_poke(f, AT_TSS + 16, S_DATA32_1, 4);
	}
	sysfix_poke(f, AT_TSS + 102, 0x88, 2); /* I/O bitmap after the redirection bitmap */
	for (u32 i = 0x88; i < 0x400; i += 8)
		sysfix_poke(f, AT_TSS + i, 0, 8);
}

static void set_seg(struct vp *vp, u32 seg, u16 sel, u32 ar)
{
	vp->cpu.seg[seg] = (struct seg){.sel = sel, .ar = ar, .limit = 0xffffffff};
}

void sysfix_reset(struct sysfix *f)
{
	struct vp *vp = &f->vp;

	memset(&vp->ctl, 0, sizeof(vp->ctl));
	memset(f->io_bitmap, 0, sizeof(f->io_bitmap));
	memset(f->msr_bitmap, 0, sizeof(f->msr_bitmap));
	memset(&vp->ev, 0, sizeof(vp->ev));
	vp->ctl.l0_native = true;
	vp->ctl.proc = PROC_SECONDARY | PROC_IO_BITMAPS | PROC_MSR_BITMAPS;
	vp->ctl.proc2 = PROC2_RDTSCP | PROC2_INVPCID | PROC2_UNRESTRICTED_GUEST;
	vp->ctl.io_bitmap_a = f->io_bitmap[0];
	vp->ctl.io_bitmap_b = f->io_bitmap[1];
	vp->ctl.msr_bitmap = f->msr_bitmap;
	vp->ctl.tsc_multiplier = 1ull << 48;
	vp->ctl.apic_access_gpa = ~0ull;
	vp->in_l2 = vp->vmxon = vp->delivering = false;
	vp->idtv_info = 0;
	vp->insns = 0;
	vp->attn &= VP_ATTN_CODE; /* RAM was written, perhaps: that stays to be seen */
	f->irq = -1;
	f->tsc = 0;
	f->port_writes = 0;
	fill_handlers(f);
	engine_reset(vp, false);
	for (u32 v = 0; v < 256; v++)
		sysfix_poke(f, v * 4, AT_HANDLERS + v * 16, 4);
}

void sysfix_real(struct sysfix *f, u16 cs, u16 ip)
{
	struct cpu_state *c = &f->vp.cpu;

	c->seg[SEG_CS].sel = cs;
	c->seg[SEG_CS].base = (u64)cs << 4;
	c->rip = ip;
	c->gpr[RSP] = 0x7000;
	engine_state_changed(&f->vp);
}

static void flat(struct sysfix *f, u16 cs, u32 cs_ar)
{
	struct vp *vp = &f->vp;
	bool lng = cs_ar & SEG_AR_L;

	fill_gdt(f, lng);
	fill_tss(f, lng);
	fill_pages(f);
	vp->cpu.gdtr = (struct table_reg){AT_GDT, GDT_LIMIT};
	vp->cpu.idtr = (struct table_reg){AT_IDT, lng ? 0xfff : 0x7ff};
	set_seg(vp, SEG_CS, cs, cs_ar);
	for (u32 s = 0; s <= SEG_GS; s++)
		if (s != SEG_CS)
			set_seg(vp, s, S_DATA32, 0xc093);
	sysfix_gdt(f, S_TSS, sysfix_desc(AT_TSS, 0x3ff, 0x008b));
	vp->cpu.seg[SEG_TR] =
		(struct seg){.sel = S_TSS, .ar = 0x8b, .limit = 0x3ff, .base = AT_TSS};
	vp->cpu.seg[SEG_LDTR] = (struct seg){.ar = SEG_AR_UNUSABLE};
	for (u32 v = 0; v < 256; v++)
		if (lng)
			sysfix_gate64(f, v, S_CODE64, AT_HANDLERS + v * 16, 14, 0, 0);
		else
			sysfix_gate32(f, v, S_CODE32, AT_HANDLERS + v * 16, 14, 0);
	vp->cpu.gpr[RSP] = STACK0;
}

void sysfix_protected(struct sysfix *f, u32 eip)
{
	flat(f, S_CODE32, 0xc09b);
	f->vp.cpu.cr0 = CR0_PE | CR0_ET | CR0_NE;
	f->vp.cpu.rip = eip;
	engine_state_changed(&f->vp);
}

void sysfix_long(struct sysfix *f, u64 rip)
{
	flat(f, S_CODE64, 0xa09b);
	f->vp.cpu.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	f->vp.cpu.cr3 = AT_PML4;
	f->vp.cpu.cr4 = CR4_PAE;
	f->vp.cpu.efer = EFER_LME | EFER_LMA | EFER_SCE;
	f->vp.cpu.rip = rip;
	engine_state_changed(&f->vp);
	vtlb_flush(&f->vp.tlb, true);
}

void sysfix_user(struct sysfix *f, u64 rip)
{
	struct vp *vp = &f->vp;

	if (vp->cpu.efer & EFER_LMA)
		set_seg(vp, SEG_CS, S_UCODE64, 0xa0fb);
	else
		set_seg(vp, SEG_CS, S_UCODE32, 0xc0fb);
	for (u32 s = 0; s <= SEG_GS; s++)
		if (s != SEG_CS)
			set_seg(vp, s, S_UDATA32, 0xc0f3);
	vp->cpu.gpr[RSP] = STACK3;
	vp->cpu.rip = rip;
	engine_state_changed(vp);
}

enum engine_stop sysfix_run(struct sysfix *f, u64 n)
{
	return engine_run(&f->vp, f->vp.insns + n);
}

int sysfix_handled(const struct sysfix *f)
{
	u64 rip = f->vp.cpu.rip;

	if (f->vp.cpu.activity != ACTIVITY_HLT || rip < AT_HANDLERS || rip >= AT_HANDLERS + 4096 ||
	    rip % 16 != 1)
		return -1;
	return (int)((rip - AT_HANDLERS) / 16);
}
