#include "l1-child/vmm/clock.h"

#include "l0/arch/ports.h"
#include "l1-child/lib/console.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"

#define PIT_CH2_MODE0 0xb0 /* channel 2, low then high byte, interrupt on terminal count */
#define CALIBRATE_COUNTS (PIT_HZ / 100)
#define CALIBRATE_TIMEOUT (1ull << 36)

static u64 hz;
static const char *source;

/* Times 10 ms of the 8254's channel 2, whose output can be read and raises no interrupt. */
static u64 measure_with_pit(void)
{
	u8 gate = port_in8(PORT_SYSTEM_B) & ~(SYSTEM_B_GATE2 | SYSTEM_B_SPEAKER);
	u64 start, end;

	port_out8(PORT_SYSTEM_B, gate | SYSTEM_B_GATE2);
	port_out8(PORT_PIT_CMD, PIT_CH2_MODE0);
	port_out8(PORT_PIT_CH2, CALIBRATE_COUNTS & 0xff);
	port_out8(PORT_PIT_CH2, CALIBRATE_COUNTS >> 8);
	start = cpu_tsc();
	do {
		end = cpu_tsc();
		if (end - start > CALIBRATE_TIMEOUT)
			con_die("the 8254 timer does not count (channel 2 gave no output)");
	} while (!(port_in8(PORT_SYSTEM_B) & SYSTEM_B_OUT2));
	port_out8(PORT_SYSTEM_B, gate);
	return mul_div(end - start, PIT_HZ, CALIBRATE_COUNTS);
}

void clock_init(void)
{
	u32 r[4], max;

	cpu_id(0, 0, r);
	max = r[0];
	if (max >= 0x15) {
		cpu_id(0x15, 0, r);
		if (r[0] && r[1] && r[2]) {
			hz = mul_div(r[2], r[1], r[0]);
			source = "CPUID 15h";
		}
	}
	if (!hz && max >= 0x16) {
		cpu_id(0x16, 0, r);
		hz = (r[0] & 0xffff) * 1000000ull;
		source = "CPUID 16h";
	}
	if (!hz) {
		hz = measure_with_pit();
		source = "8254";
	}
	if (hz < 1000000)
		con_die("the time stamp counter runs at %lu Hz, too slow (by %s)", hz, source);
}

u64 clock_hz(void)
{
	return hz;
}

const char *clock_source(void)
{
	return source;
}

u64 clock_ns_to_tsc(u64 ns)
{
	return mul_div(ns, hz, NS_PER_SEC);
}

u64 clock_tsc_to_ns(u64 tsc)
{
	return mul_div(tsc, NS_PER_SEC, hz);
}
