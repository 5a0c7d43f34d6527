/* lapic_test.c - l0/dev/lapic and ioapic: registers, priorities, IPIs, timer, x2APIC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "l0/arch/msr.h"
#include "l0/arch/ports.h"
#include "l0/base/hash.h"
#include "l0/dev/ioapic.h"
#include "l0/dev/lapic.h"
#include "l0/dev/pic8259.h"
#include "tests/unit/bus_fixture.h"

#define VPS 4u

struct lapic_fixture {
	struct bus_fixture f;
	struct lapic *l[VPS];
};

static int setup(void **state)
{
	struct lapic_fixture *x = calloc(1, sizeof(*x));
	int err;

	fixture_init(&x->f, VPS);
	assert_non_null(pic_create(&x->f.bus, &err));
	for (u32 i = 0; i < VPS; i++) {
		x->l[i] = lapic_create(&x->f.bus, i, &err);
		assert_non_null(x->l[i]);
	}
	assert_non_null(ioapic_create(&x->f.bus, &err));
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	fixture_fini(&((struct lapic_fixture *)*state)->f);
	free(*state);
	return 0;
}

static u32 rd(struct lapic_fixture *x, u32 vp, u32 off)
{
	x->f.current_vp = vp;
	return fixture_read32(&x->f, LAPIC_BASE_DEFAULT + off);
}

static void wr(struct lapic_fixture *x, u32 vp, u32 off, u32 value)
{
	x->f.current_vp = vp;
	fixture_write32(&x->f, LAPIC_BASE_DEFAULT + off, value);
}

static void enable_all(struct lapic_fixture *x)
{
	for (u32 i = 0; i < VPS; i++) {
		wr(x, i, 0xf0, 0x1ff);
		wr(x, i, 0xe0, ~0u);
		wr(x, i, 0xd0, 1u << (24 + i));
	}
}

static void test_reset_state(void **state)
{
	struct lapic_fixture *x = *state;
	u64 v;

	for (u32 i = 0; i < VPS; i++) {
		assert_int_equal(rd(x, i, 0x20), i << 24);
		assert_int_equal(rd(x, i, 0x30), 0x00050014);
		assert_int_equal(rd(x, i, 0xf0), 0xff);
		assert_int_equal(rd(x, i, 0xe0), ~0u);
		assert_int_equal(rd(x, i, 0x320), 0x10000);
		assert_true(lapic_msr_read(x->l[i], MSR_IA32_APIC_BASE, &v));
		assert_int_equal(v, 0xfee00800 | (i ? 0 : 0x100));
	}
	/* narrow reads give their part of a register, wrong writes nothing */
	x->f.current_vp = 1;
	assert_int_equal(mem_mmio_read(x->f.bus.mem, LAPIC_BASE_DEFAULT + 0x23, 1), 1);
	assert_int_equal(mem_mmio_read(x->f.bus.mem, LAPIC_BASE_DEFAULT + 0x24, 4), 0);
	mem_mmio_write(x->f.bus.mem, LAPIC_BASE_DEFAULT + 0xf0, 0x1ff, 2);
	assert_int_equal(rd(x, 1, 0xf0), 0xff);
}

static void test_self_ipi_and_priority(void **state)
{
	struct lapic_fixture *x = *state;

	enable_all(x);
	wr(x, 1, 0x300, 0x00040031); /* self, vector 0x31 */
	assert_true(x->f.intr[1]);
	assert_false(x->f.intr[0]);
	assert_int_equal(rd(x, 1, 0x210), 1u << 17);
	wr(x, 1, 0x300, 0x00040052);
	wr(x, 1, 0x80, 0x50); /* TPR class 5 */
	assert_false(x->f.intr[1]);
	assert_int_equal(lapic_ack(x->l[1]), -1);
	lapic_set_tpr(x->l[1], 0x40);
	assert_true(x->f.intr[1]);
	assert_int_equal(rd(x, 1, 0xa0), 0x40);
	assert_int_equal(lapic_ack(x->l[1]), 0x52);
	assert_int_equal(rd(x, 1, 0xa0), 0x50);
	assert_false(x->f.intr[1]);
	wr(x, 1, 0x80, 0);
	assert_false(x->f.intr[1]); /* 0x31 is below what is in service */
	wr(x, 1, 0xb0, 0);
	assert_true(x->f.intr[1]);
	assert_int_equal(lapic_ack(x->l[1]), 0x31);
	assert_int_equal(rd(x, 1, 0x110), 1u << 17);
	wr(x, 1, 0xb0, 0);
	assert_int_equal(rd(x, 1, 0x110), 0);
	assert_int_equal(lapic_get_tpr(x->l[1]), 0);
}

static void test_ipi_destinations(void **state)
{
	struct lapic_fixture *x = *state;

	enable_all(x);
#define EXPECT(mask) \
	do { \
		for (u32 i = 0; i < VPS; i++) { \
			assert_int_equal(x->f.intr[i], ((mask) >> i) & 1); \
			while (lapic_ack(x->l[i]) >= 0) \
				wr(x, i, 0xb0, 0); \
		} \
	} while (0)
	wr(x, 0, 0x310, 2u << 24);
	wr(x, 0, 0x300, 0x4040);
	EXPECT(0x4);
	wr(x, 0, 0x310, 0xffu << 24);
	wr(x, 0, 0x300, 0x4040);
	EXPECT(0xf);
	wr(x, 0, 0x310, 0x0au << 24);
	wr(x, 0, 0x300, 0x4840); /* logical, flat */
	EXPECT(0xa);
	wr(x, 0, 0x300, 0x84040); /* all */
	EXPECT(0xf);
	wr(x, 0, 0x300, 0xc4040); /* all but self */
	EXPECT(0xe);
	wr(x, 1, 0x80, 0x30);
	wr(x, 0, 0x310, 0x03u << 24);
	lapic_set_tpr(x->l[0], 0x38);
	wr(x, 0, 0x300, 0x4940); /* lowest priority of 0 and 1 */
	lapic_set_tpr(x->l[0], 0);
	lapic_set_tpr(x->l[1], 0);
	EXPECT(0x2);
	for (u32 i = 0; i < VPS; i++) { /* cluster 1: members 0-3 */
		wr(x, i, 0xe0, 0x0fffffff);
		wr(x, i, 0xd0, (0x10u | 1u << i) << 24);
	}
	wr(x, 0, 0x310, 0x16u << 24);
	wr(x, 0, 0x300, 0x4840);
	EXPECT(0x6);
	wr(x, 0, 0x310, 0x26u << 24);
	wr(x, 0, 0x300, 0x4840);
	EXPECT(0);
#undef EXPECT
	wr(x, 0, 0x310, 3u << 24);
	wr(x, 0, 0x300, 0x4500); /* INIT */
	wr(x, 0, 0x300, 0x8500); /* its de-assertion does nothing */
	wr(x, 0, 0x300, 0x4608); /* SIPI */
	wr(x, 0, 0x300, 0x4400); /* NMI */
	assert_int_equal(x->f.inits[3], 1);
	assert_int_equal(x->f.sipis[3], 1);
	assert_int_equal(x->f.sipi_vector, 8);
	assert_int_equal(x->f.nmis[3], 1);
}

static void test_errors(void **state)
{
	struct lapic_fixture *x = *state;

	enable_all(x);
	wr(x, 0, 0x370, 0xfe);
	wr(x, 0, 0x300, 0x40005); /* illegal vector */
	assert_true(x->f.intr[0]);
	assert_int_equal(lapic_ack(x->l[0]), 0xfe);
	assert_int_equal(rd(x, 0, 0x280), 0);
	wr(x, 0, 0x280, 0);
	assert_int_equal(rd(x, 0, 0x280), 0x20);
	wr(x, 0, 0x280, 0);
	assert_int_equal(rd(x, 0, 0x280), 0);
	rd(x, 0, 0x40);
	wr(x, 0, 0x280, 0);
	assert_int_equal(rd(x, 0, 0x280), 0x80);
	wr(x, 0, 0x370, 0x3); /* an error entry with an illegal vector does not recurse */
	wr(x, 0, 0x300, 0x40005);
	wr(x, 0, 0x280, 0);
	assert_int_equal(rd(x, 0, 0x280), 0x60);
}

static void test_timer(void **state)
{
	struct lapic_fixture *x = *state;

	enable_all(x);
	wr(x, 0, 0x3e0, 0x3); /* by 16 */
	wr(x, 0, 0x320, 0x40);
	wr(x, 0, 0x380, 1000);
	assert_int_equal(bus_next_deadline(&x->f.bus), 16000);
	assert_true(x->f.deadline_changes > 0);
	fixture_run_to(&x->f, 8000);
	assert_int_equal(rd(x, 0, 0x390), 500);
	fixture_run_to(&x->f, 15999);
	assert_false(x->f.intr[0]);
	assert_int_equal(rd(x, 0, 0x390), 1);
	fixture_run_to(&x->f, 20000);
	assert_true(x->f.intr[0]);
	assert_int_equal(lapic_ack(x->l[0]), 0x40);
	assert_int_equal(lapic_acked_due_ns(x->l[0]), 16000);
	assert_int_equal(rd(x, 0, 0x390), 0);
	wr(x, 0, 0xb0, 0);
	wr(x, 0, 0x3e0, 0xb);	  /* by 1 */
	wr(x, 0, 0x320, 0x20041); /* periodic */
	wr(x, 0, 0x380, 1000);
	for (u32 i = 1; i < 100; i++) {
		fixture_run_to(&x->f, 20000 + 1000 * i);
		assert_int_equal(lapic_ack(x->l[0]), 0x41);
		assert_int_equal(lapic_acked_due_ns(x->l[0]), 20000 + 1000 * i);
		wr(x, 0, 0xb0, 0);
	}
	/* late expiry does not pile up and keeps its phase */
	x->f.now_ns = 200500;
	bus_expire(&x->f.bus, x->f.now_ns);
	assert_int_equal(bus_next_deadline(&x->f.bus), 201000);
	wr(x, 0, 0x3e0, 0x0); /* by 2 from now on: what is left takes twice as long */
	assert_int_equal(rd(x, 0, 0x390), 500);
	assert_int_equal(bus_next_deadline(&x->f.bus), 201500);
	wr(x, 0, 0x380, 0);
	assert_int_equal(bus_next_deadline(&x->f.bus), TIMER_NEVER);
	lapic_ack(x->l[0]);
	wr(x, 0, 0xb0, 0);
	wr(x, 0, 0x320, 0x10042); /* masked: counts, does not ask */
	wr(x, 0, 0x380, 10);
	fixture_run_to(&x->f, x->f.now_ns + 1000);
	assert_false(x->f.intr[0]);
}

static void test_tsc_deadline(void **state)
{
	struct lapic_fixture *x = *state;

	enable_all(x);
	lapic_set_tsc_deadline(x->l[0], 5000);
	assert_int_equal(bus_next_deadline(&x->f.bus), TIMER_NEVER);
	wr(x, 0, 0x320, 0x40050);
	lapic_set_tsc_deadline(x->l[0], 5000);
	assert_int_equal(lapic_get_tsc_deadline(x->l[0]), 5000);
	assert_int_equal(bus_next_deadline(&x->f.bus), 5000);
	assert_int_equal(rd(x, 0, 0x390), 0);
	wr(x, 0, 0x380, 100); /* ignored in this mode */
	assert_int_equal(rd(x, 0, 0x380), 0);
	fixture_run_to(&x->f, 5000);
	assert_int_equal(lapic_ack(x->l[0]), 0x50);
	assert_int_equal(lapic_get_tsc_deadline(x->l[0]), 0);
	wr(x, 0, 0xb0, 0);
	lapic_set_tsc_deadline(x->l[0], 10); /* the past */
	fixture_run_to(&x->f, 5001);
	assert_int_equal(lapic_ack(x->l[0]), 0x50);
	wr(x, 0, 0xb0, 0);
	lapic_set_tsc_adjust(x->l[0], 1000);
	lapic_set_tsc_deadline(x->l[0], 7000);
	assert_int_equal(bus_next_deadline(&x->f.bus), 6000);
	lapic_set_tsc_adjust(x->l[0], 0);
	assert_int_equal(bus_next_deadline(&x->f.bus), 7000);
	wr(x, 0, 0x320, 0x00050); /* leaving the mode disarms */
	assert_int_equal(bus_next_deadline(&x->f.bus), TIMER_NEVER);
	wr(x, 0, 0x320, 0x40050);
	assert_int_equal(lapic_get_tsc_deadline(x->l[0]), 0);
	lapic_set_tsc_deadline(x->l[0], ~0ull); /* as signed, the past: due at once, no overflow */
	lapic_set_tsc_deadline(x->l[0], 0);
	assert_int_equal(bus_next_deadline(&x->f.bus), TIMER_NEVER);
}

static void program_pic(struct lapic_fixture *x)
{
	static const u8 icw[] = {0x20, 0x04, 0x01, 0x00};

	fixture_outb(&x->f, PORT_PIC1_CMD, 0x11);
	for (size_t i = 0; i < sizeof(icw); i++)
		fixture_outb(&x->f, PORT_PIC1_DATA, icw[i]);
}

static void test_virtual_wire(void **state)
{
	struct lapic_fixture *x = *state;

	program_pic(x);
	irq_set(&x->f.bus.irq, 3, INTR_SOURCE_DEVICE, true, 55);
	assert_true(x->f.intr[0]);
	assert_int_equal(lapic_ack(x->l[0]), 0x23);
	assert_int_equal(lapic_acked_due_ns(x->l[0]), 55);
	assert_false(x->f.intr[0]);
	fixture_outb(&x->f, PORT_PIC1_CMD, 0x20);
	irq_set(&x->f.bus.irq, 4, INTR_SOURCE_DEVICE, true, 56);
	assert_true(x->f.intr[0]);
	enable_all(x);
	wr(x, 0, 0x350, 0x10700); /* mask LINT0 */
	assert_false(x->f.intr[0]);
	wr(x, 0, 0x350, 0x700);
	assert_true(x->f.intr[0]);
	assert_int_equal(lapic_ack(x->l[0]), 0x24);
	/* globally disabled: straight to the processor */
	fixture_outb(&x->f, PORT_PIC1_CMD, 0x20);
	wr(x, 0, 0x350, 0x10700);
	assert_true(lapic_msr_write(x->l[0], MSR_IA32_APIC_BASE, 0xfee00100));
	irq_set(&x->f.bus.irq, 1, INTR_SOURCE_DEVICE, true, 57);
	assert_true(x->f.intr[0]);
	assert_int_equal(lapic_ack(x->l[0]), 0x21);
	assert_int_equal(rd(x, 0, 0x20), ~0u); /* no page any more */
}

static void test_software_disable(void **state)
{
	struct lapic_fixture *x = *state;

	enable_all(x);
	wr(x, 1, 0x320, 0x40);
	wr(x, 1, 0xf0, 0xff);
	assert_int_equal(rd(x, 1, 0x320), 0x10040);
	wr(x, 1, 0x320, 0x40);
	assert_int_equal(rd(x, 1, 0x320), 0x10040);
	wr(x, 0, 0x310, 1u << 24);
	wr(x, 0, 0x300, 0x4040);
	assert_false(x->f.intr[1]);
}

static void test_x2apic(void **state)
{
	struct lapic_fixture *x = *state;
	struct lapic *l = x->l[1];
	u64 v;

	assert_false(lapic_msr_read(l, 0x802, &v));
	assert_false(lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfee00400));
	assert_true(lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfee00c00));
	assert_false(lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfee00800));
	assert_false(lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfee00c01));
	assert_int_equal(rd(x, 1, 0x20), ~0u);
	assert_true(lapic_msr_read(l, 0x802, &v));
	assert_int_equal(v, 1);
	assert_true(lapic_msr_read(l, 0x80d, &v));
	assert_int_equal(v, 2);
	assert_false(lapic_msr_read(l, 0x80e, &v)); /* DFR */
	assert_false(lapic_msr_read(l, 0x80b, &v)); /* EOI */
	assert_false(lapic_msr_read(l, 0x831, &v));
	assert_false(lapic_msr_write(l, 0x802, 0));
	assert_false(lapic_msr_write(l, 0x808, 0x100));
	assert_false(lapic_msr_write(l, 0x80b, 1));
	assert_false(lapic_msr_write(l, 0x840, 0));
	assert_true(lapic_msr_write(l, 0x80f, 0x1ff));
	assert_true(lapic_msr_write(l, 0x83f, 0x66)); /* self IPI */
	assert_int_equal(lapic_ack(l), 0x66);
	assert_true(lapic_msr_write(l, 0x80b, 0));
	enable_all(x);
	assert_true(lapic_msr_write(l, 0x830, (2ull << 32) | 0x4070));
	assert_int_equal(lapic_ack(x->l[2]), 0x70);
	assert_true(lapic_msr_read(l, 0x830, &v));
	assert_int_equal(v, (2ull << 32) | 0x4070);
	assert_true(lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfee00000));
	assert_false(lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfee00c00));
	assert_true(lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfee00800));
	assert_int_equal(rd(x, 1, 0xf0), 0xff);
}

static void ioapic_write(struct lapic_fixture *x, u32 reg, u32 value)
{
	fixture_write32(&x->f, IOAPIC_BASE_DEFAULT, reg);
	fixture_write32(&x->f, IOAPIC_BASE_DEFAULT + 0x10, value);
}

static u32 ioapic_read(struct lapic_fixture *x, u32 reg)
{
	fixture_write32(&x->f, IOAPIC_BASE_DEFAULT, reg);
	return fixture_read32(&x->f, IOAPIC_BASE_DEFAULT + 0x10);
}

static void test_ioapic(void **state)
{
	struct lapic_fixture *x = *state;

	enable_all(x);
	fixture_outb(&x->f, PORT_PIC1_DATA, 0xff);
	fixture_outb(&x->f, PORT_PIC2_DATA, 0xff);
	assert_int_equal(ioapic_read(x, 1), 0x00170020);
	assert_int_equal(ioapic_read(x, 0x10), 0x10000);
	/* edge */
	ioapic_write(x, 0x10 + 2 * 4 + 1, 1u << 24);
	ioapic_write(x, 0x10 + 2 * 4, 0x61);
	irq_set(&x->f.bus.irq, 4, INTR_SOURCE_UART, true, 9);
	assert_int_equal(lapic_ack(x->l[1]), 0x61);
	assert_int_equal(lapic_acked_due_ns(x->l[1]), 9);
	wr(x, 1, 0xb0, 0);
	assert_false(x->f.intr[1]);
	/* the PIT's line is input 2 */
	ioapic_write(x, 0x10 + 2 * 2, 0x30);
	irq_set(&x->f.bus.irq, GSI_PIT, INTR_SOURCE_PIT, true, 1);
	assert_int_equal(lapic_ack(x->l[0]), 0x30);
	wr(x, 0, 0xb0, 0);
	/* level: one message until its EOI, then again while the line is high */
	ioapic_write(x, 0x10 + 2 * 17 + 1, 2u << 24);
	ioapic_write(x, 0x10 + 2 * 17, 0x8071);
	irq_set(&x->f.bus.irq, 17, INTR_SOURCE_DEVICE, true, 1);
	assert_int_equal(ioapic_read(x, 0x10 + 2 * 17), 0xc071);
	assert_int_equal(lapic_ack(x->l[2]), 0x71);
	assert_int_equal(rd(x, 2, 0x180 + 0x30), 1u << 17); /* TMR */
	wr(x, 2, 0xb0, 0);
	assert_true(x->f.intr[2]);
	assert_int_equal(lapic_ack(x->l[2]), 0x71);
	irq_set(&x->f.bus.irq, 17, INTR_SOURCE_DEVICE, false, 1);
	wr(x, 2, 0xb0, 0);
	assert_false(x->f.intr[2]);
	assert_int_equal(ioapic_read(x, 0x10 + 2 * 17), 0x8071);
}

static void test_garbage(void **state)
{
	struct lapic_fixture *x = *state;
	u64 rng = fixture_seed(0xa91c), v;

	for (int i = 0; i < 200000; i++) {
		u64 at = (rng_below(&rng, 4) ? LAPIC_BASE_DEFAULT : IOAPIC_BASE_DEFAULT) +
			 (rng_below(&rng, 8) ? rng_below(&rng, 0x40) << 4 : rng_below(&rng, 0xff8));
		u32 vp = (u32)rng_below(&rng, VPS);

		x->f.current_vp = vp;
		switch (rng_below(&rng, 8)) {
		case 0:
			lapic_msr_write(x->l[vp], 0x800 + (u32)rng_below(&rng, 256),
					rng_next(&rng) >> rng_below(&rng, 64));
			break;
		case 1: lapic_msr_read(x->l[vp], 0x800 + (u32)rng_below(&rng, 256), &v); break;
		case 2:
			lapic_msr_write(x->l[vp], MSR_IA32_APIC_BASE,
					0xfee00000 | (rng_next(&rng) & 0xd00));
			break;
		case 3: lapic_ack(x->l[vp]); break;
		case 4:
			irq_set(&x->f.bus.irq, (u32)rng_below(&rng, 26), INTR_SOURCE_DEVICE,
				rng_below(&rng, 2), x->f.now_ns);
			break;
		case 5: mem_mmio_read(x->f.bus.mem, at, 1u << rng_below(&rng, 4)); break;
		default:
			mem_mmio_write(x->f.bus.mem, at, rng_next(&rng) >> rng_below(&rng, 64),
				       rng_below(&rng, 4) ? 4 : 1u << rng_below(&rng, 4));
		}
		x->f.now_ns += rng_below(&rng, 100000);
		bus_expire(&x->f.bus, x->f.now_ns);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reset_state),
		T(test_self_ipi_and_priority),
		T(test_ipi_destinations),
		T(test_errors),
		T(test_timer),
		T(test_tsc_deadline),
		T(test_virtual_wire),
		T(test_software_disable),
		T(test_x2apic),
		T(test_ioapic),
		T(test_garbage),
	};

	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
