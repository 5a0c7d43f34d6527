/*
 * rtc.c - real-time clock, see rtc.h
 *
 * Nothing ticks: the registers are computed when they are read. One timer is armed while an
 * interrupt is enabled, for the next second or the next period.
 */
#include "l0/dev/rtc.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"

#define CMOS_BYTES 128u
#define SECONDS_A_DAY 86400u
#define RTC_HZ 32768u
#define UPDATE_NS 244000u /* UIP is set this long before the second */

enum rtc_reg {
	REG_SECONDS,
	REG_SECONDS_ALARM,
	REG_MINUTES,
	REG_MINUTES_ALARM,
	REG_HOURS,
	REG_HOURS_ALARM,
	REG_WEEKDAY,
	REG_DAY,
	REG_MONTH,
	REG_YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	REG_CENTURY = 0x32,
};

#define A_UIP 0x80
#define A_DIVIDER 0x70
#define A_DIVIDER_RUN 0x20
#define A_RATE 0x0f
#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_BINARY 0x04
#define B_24H 0x02
#define C_IRQF 0x80
#define C_PF 0x40
#define C_AF 0x20
#define C_UF 0x10
#define D_VALID 0x80
#define HOUR_PM 0x80
#define ALARM_ANY 0xc0

struct rtc {
	struct device dev;
	u8 index;
	u8 cell[CMOS_BYTES];
	s64 epoch;		  /* seconds at machine time 0, moved by the guest's setting */
	s64 frozen;		  /* while SET or the divider stops it: the date */
	struct timer timer;	  /* next second or period */
	u64 second_ns, period_ns; /* deadlines, TIMER_NEVER when not wanted */
	u64 due_ns;
};

struct date {
	u32 second, minute, hour, weekday, day, month, year;
};

/* Days since 1970 to a date; proleptic Gregorian, by eras of 400 years counted from March. */
static void date_of(s64 seconds, struct date *d)
{
	s64 days = seconds / SECONDS_A_DAY;
	u32 rest = (u32)(seconds % SECONDS_A_DAY);
	u32 z = (u32)(days + 719468), era = z / 146097, doe = z - era * 146097;
	u32 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	u32 doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	d->second = rest % 60;
	d->minute = rest / 60 % 60;
	d->hour = rest / 3600;
	d->weekday = (u32)((days + 4) % 7) + 1; /* 1 is Sunday */
	d->day = doy - (153 * mp + 2) / 5 + 1;
	d->month = mp < 10 ? mp + 3 : mp - 9;
	d->year = yoe + era * 400 + (d->month <= 2);
}

static s64 seconds_of(const struct date *d)
{
	u32 y = d->year - (d->month <= 2), era = y / 400, yoe = y - era * 400;
	u32 mp = (d->month + 9) % 12, doy = (153 * mp + 2) / 5 + d->day - 1;
	s64 days = (s64)era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;

	return days * SECONDS_A_DAY + d->hour * 3600 + d->minute * 60 + d->second;
}

static bool is_running(const struct rtc *r)
{
	return !(r->cell[REG_B] & B_SET) && (r->cell[REG_A] & A_DIVIDER) == A_DIVIDER_RUN;
}

static s64 date_now(const struct rtc *r)
{
	return is_running(r) ? r->epoch + (s64)(bus_now(r->dev.bus) / NS_PER_SEC) : r->frozen;
}

/* ---- number formats -------------------------------------------------------------------------- */

static u8 encode(const struct rtc *r, u32 v)
{
	return r->cell[REG_B] & B_BINARY ? (u8)v : (u8)(v / 10 % 10 << 4 | v % 10);
}

static u32 decode(const struct rtc *r, u8 v)
{
	return r->cell[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static u8 encode_hour(const struct rtc *r, u32 hour)
{
	if (r->cell[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static u32 decode_hour(const struct rtc *r, u8 v)
{
	if (r->cell[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static void update_line(struct rtc *r)
{
	u8 flags = r->cell[REG_B] & r->cell[REG_C] & (C_PF | C_AF | C_UF);

	if (flags)
		r->cell[REG_C] |= C_IRQF;
	irq_set(&r->dev.bus->irq, GSI_RTC, INTR_SOURCE_RTC, r->cell[REG_C] & C_IRQF, r->due_ns);
}

static u64 period_length_ns(const struct rtc *r)
{
	u32 rate = r->cell[REG_A] & A_RATE;

	if (!rate)
		return 0;
	if (rate < 3) /* rates 1 and 2 repeat 8 and 9 */
		rate += 7;
	return (1ull << (rate - 1)) * NS_PER_SEC / RTC_HZ;
}

static void arm(struct rtc *r)
{
	u64 now = bus_now(r->dev.bus), period = period_length_ns(r);

	r->second_ns = r->period_ns = TIMER_NEVER;
	if (is_running(r) && (r->cell[REG_B] & (B_UIE | B_AIE)))
		r->second_ns = (now / NS_PER_SEC + 1) * NS_PER_SEC;
	if ((r->cell[REG_B] & B_PIE) && period)
		r->period_ns = (now / period + 1) * period;
	bus_timer_arm(r->dev.bus, &r->timer, MIN(r->second_ns, r->period_ns));
}

static bool alarm_matches(const struct rtc *r, u8 cell, u32 value)
{
	return cell >= ALARM_ANY || decode(r, cell) == value;
}

static bool is_alarm(const struct rtc *r)
{
	struct date d;
	u8 hour = r->cell[REG_HOURS_ALARM];

	date_of(date_now(r), &d);
	return alarm_matches(r, r->cell[REG_SECONDS_ALARM], d.second) &&
	       alarm_matches(r, r->cell[REG_MINUTES_ALARM], d.minute) &&
	       (hour >= ALARM_ANY || decode_hour(r, hour) == d.hour);
}

static void expired(void *arg, u64 deadline_ns)
{
	struct rtc *r = arg;

	r->due_ns = deadline_ns;
	if (deadline_ns >= r->period_ns)
		r->cell[REG_C] |= C_PF;
	if (deadline_ns >= r->second_ns) {
		r->cell[REG_C] |= C_UF;
		if (is_alarm(r))
			r->cell[REG_C] |= C_AF;
	}
	update_line(r);
	arm(r);
}

/* ---- registers ------------------------------------------------------------------------------- */

static u8 read_date(const struct rtc *r, u32 reg)
{
	struct date d;

	date_of(date_now(r), &d);
	switch (reg) {
	case REG_SECONDS: return encode(r, d.second);
	case REG_MINUTES: return encode(r, d.minute);
	case REG_HOURS: return encode_hour(r, d.hour);
	case REG_WEEKDAY: return encode(r, d.weekday);
	case REG_DAY: return encode(r, d.day);
	case REG_MONTH: return encode(r, d.month);
	case REG_YEAR: return encode(r, d.year % 100);
	default: return encode(r, d.year / 100);
	}
}

/* Out-of-range values are brought into range: the guest's calendar, not ours. */
static void write_date(struct rtc *r, u32 reg, u8 value)
{
	s64 now = date_now(r);
	struct date d;
	u32 v = decode(r, value);

	date_of(now, &d);
	switch (reg) {
	case REG_SECONDS: d.second = v % 60; break;
	case REG_MINUTES: d.minute = v % 60; break;
	case REG_HOURS: d.hour = decode_hour(r, value) % 24; break;
	case REG_DAY: d.day = v % 32; break;
	case REG_MONTH: d.month = v % 13 ? v % 13 : 1; break;
	case REG_YEAR: d.year = d.year / 100 * 100 + v % 100; break;
	case REG_CENTURY: d.year = (v % 100 < 19 ? 19 : v % 100) * 100 + d.year % 100; break;
	default: return;
	}
	if (d.year < 1970)
		d.year = 1970;
	s64 moved = seconds_of(&d) - now;

	if (now + moved < 0)
		return;
	r->epoch += moved;
	r->frozen += moved;
}

static void write_control(struct rtc *r, u32 reg, u8 value)
{
	s64 now = date_now(r);
	bool ran = is_running(r);

	r->cell[reg] = reg == REG_A ? value & ~A_UIP : value;
	if (reg == REG_B && (value & B_SET))
		r->cell[REG_B] &= (u8)~B_UIE;
	if (ran && !is_running(r))
		r->frozen = now;
	else if (!ran && is_running(r))
		r->epoch = r->frozen - (s64)(bus_now(r->dev.bus) / NS_PER_SEC);
	update_line(r);
	arm(r);
}

static u8 read_cell(struct rtc *r, u32 reg)
{
	u8 value;

	switch (reg) {
	case REG_SECONDS:
	case REG_MINUTES:
	case REG_HOURS ... REG_YEAR:
		if (reg == REG_HOURS_ALARM)
			break;
		return read_date(r, reg);
	case REG_CENTURY: return read_date(r, reg);
	case REG_A:
		return r->cell[REG_A] |
		       (is_running(r) && bus_now(r->dev.bus) % NS_PER_SEC >= NS_PER_SEC - UPDATE_NS
				? A_UIP
				: 0);
	case REG_C:
		value = r->cell[REG_C];
		r->cell[REG_C] = 0;
		update_line(r);
		return value;
	case REG_D: return D_VALID;
	}
	return r->cell[reg];
}

static void write_cell(struct rtc *r, u32 reg, u8 value)
{
	switch (reg) {
	case REG_SECONDS_ALARM:
	case REG_MINUTES_ALARM:
	case REG_HOURS_ALARM: r->cell[reg] = value; break;
	case REG_SECONDS:
	case REG_MINUTES:
	case REG_HOURS:
	case REG_WEEKDAY ... REG_YEAR:
	case REG_CENTURY: write_date(r, reg, value); break;
	case REG_A:
	case REG_B: write_control(r, reg, value); break;
	case REG_C:
	case REG_D: break;
	default: r->cell[reg] = value;
	}
}

static u32 rtc_read(void *dev, u16 port, unsigned int size)
{
	struct rtc *r = dev;
	u8 value = 0xff;

	bus_lock(r->dev.bus);
	if (port == PORT_CMOS_DATA)
		value = read_cell(r, r->index);
	bus_unlock(r->dev.bus);
	return size == 1 ? value : value | (~0u << 8);
}

static void rtc_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct rtc *r = dev;

	bus_lock(r->dev.bus);
	if (port == PORT_CMOS_INDEX) {
		r->index = value & 0x7f;
		if (size > 1) /* a 16-bit write reaches both ports */
			write_cell(r, r->index, (u8)(value >> 8));
	} else {
		write_cell(r, r->index, (u8)value);
	}
	bus_unlock(r->dev.bus);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void put16(struct rtc *r, u32 cell, u64 value)
{
	r->cell[cell] = (u8)value;
	r->cell[cell + 1] = (u8)(value >> 8);
}

static void fill_memory_sizes(struct rtc *r)
{
	u64 ram = mem_ram_bytes(r->dev.bus->mem), low = MIN(ram, MEM_HOLE_START);
	u64 ext_kib = low > MIB ? MIN((low - MIB) / KIB, 65535ull) : 0;
	u64 above_16m = low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0;
	u64 high = (ram - low) / (64 * KIB);

	put16(r, 0x15, 640);
	put16(r, 0x17, ext_kib);
	put16(r, 0x30, ext_kib);
	put16(r, 0x34, MIN(above_16m, 65535ull));
	put16(r, 0x5b, high);
	r->cell[0x5d] = (u8)(high >> 16);
	r->cell[0x5f] = (u8)(r->dev.bus->nvps - 1);
}

/* The reset line leaves date and memory alone; it clears what asks for interrupts. */
static void rtc_reset(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	r->cell[REG_B] &= (u8) ~(B_PIE | B_AIE | B_UIE);
	r->cell[REG_C] = 0;
	update_line(r);
	arm(r);
}

static void rtc_destroy(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	timer_cancel(&d->bus->timers, &r->timer);
	free(r);
}

static const struct device_class rtc_class = {
	.name = "rtc",
	.reset = rtc_reset,
	.destroy = rtc_destroy,
};

static const struct port_ops rtc_port_ops = {
	.read = rtc_read,
	.write = rtc_write,
};

int rtc_create(struct machine_bus *bus, u64 epoch)
{
	struct rtc *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	timer_init(&r->timer, expired, r);
	bus_add_device(bus, &r->dev, &rtc_class);
	int err = mem_add_ports(bus->mem, "rtc", PORT_CMOS_INDEX, 2, &rtc_port_ops, r);

	if (err)
		return err;
	r->epoch = (s64)epoch;
	r->cell[REG_A] = A_DIVIDER_RUN | 0x06;
	r->cell[REG_B] = B_24H;
	fill_memory_sizes(r);
	rtc_reset(&r->dev);
	return 0;
}
